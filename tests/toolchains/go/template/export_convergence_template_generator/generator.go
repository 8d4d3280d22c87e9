// Package export_convergence_template_generator says how an application becomes an image and a service.
package export_convergence_template_generator

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"wit_component/convergence_plugin_plugin_types"
	. "wit_component/convergence_template_template_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

const (
	image = "python:3.12-slim-bookworm"
	port  = 8080
	main  = "main.py"
)

//go:embed main.py
var starter []byte

// Languages says what this template runs.
func Languages() []Language {
	return []Language{{
		Name: "{{name}}", Frameworks: []string{"plain"}, Versions: []string{"3.12"}, Images: []string{image},
	}}
}

// Wants says which files to read: the names are enough.
func Wants() []string { return nil }

// Detect recognizes an application by its main file.
func Detect(request Request) wit.Result[wit.Option[Detection], convergence_plugin_plugin_types.PluginError] {
	found := wit.None[Detection]()
	if request.Source.IsSome() && slices.Contains(request.Source.Some().Paths, main) {
		// Others may know more about such an application; they shall win.
		found = wit.Some(Detection{
			Confidence: 40, Language: "{{name}}", Framework: wit.None[string](), Version: wit.None[string](),
			Reason: "it has a " + main,
		})
	}
	return wit.Ok[wit.Option[Detection], convergence_plugin_plugin_types.PluginError](found)
}

func invalid(path, message string) wit.Result[BuildPlan, convergence_plugin_plugin_types.PluginError] {
	errors := []convergence_plugin_plugin_types.FieldError{{Path: path, Message: message}}
	return wit.Err[BuildPlan](convergence_plugin_plugin_types.MakePluginErrorInvalidInput(errors))
}

// Plan says how it is built and run.
func Plan(request Request) wit.Result[BuildPlan, convergence_plugin_plugin_types.PluginError] {
	if framework := request.Framework; framework.IsSome() && framework.Some() != "plain" {
		return invalid("framework", "the only framework here is `plain`; leave it out")
	}
	probe, copied, files := MakeProbeHttp("/health"), CopyFiles{
		Origin: MakeOriginPlan(), Paths: []string{main}, Destination: "/app/",
	}, []File{{Path: main, Contents: starter}}
	if request.Source.IsSome() {
		if !slices.Contains(request.Source.Some().Paths, main) {
			return invalid(main, "there is no main.py; add one that listens on $PORT")
		}
		// An application of one's own need not have such a path.
		probe, files = MakeProbeTcp(), nil
		copied = CopyFiles{Origin: MakeOriginSource(), Paths: []string{"."}, Destination: "/app/"}
	}
	base := request.BaseImage.SomeOr(image)
	// What WASI shows, into the log: the same for the same request, or a replay differs.
	fmt.Fprintln(os.Stderr, time.Now().UTC(), rand.Uint64(), os.Args, os.Environ())
	return wit.Ok[BuildPlan, convergence_plugin_plugin_types.PluginError](BuildPlan{
		Files: files,
		Stages: []Stage{{
			Name: "run", Base: MakeBaseImage(base), Steps: []Step{MakeStepWorkdir("/app"), MakeStepCopy(copied)},
		}},
		Service: Service{
			Command: []string{"python3", main}, ReleaseCommand: wit.None[[]string](), Port: port,
			Health: Health{
				Probe: probe, InContainer: wit.None[[]string](), IntervalSeconds: 30, TimeoutSeconds: 5, Retries: 3,
				StartPeriodSeconds: 30,
			},
			StopSignal: wit.Some("SIGTERM"), StopGraceSeconds: 10, MinMemoryMb: 64,
		},
		Notes: []string{fmt.Sprintf("%s on `%s`.", main, base)},
	})
}
