// Package export_convergence_plugin_metadata describes the template. It is that of `convergence plugin new`, in Go.
package export_convergence_plugin_metadata

import (
	"wit_component/convergence_plugin_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Describe says what this plugin is.
func Describe() convergence_plugin_plugin_types.Description {
	return convergence_plugin_plugin_types.Description{
		Id:           "{{name}}",
		Kind:         "template",
		Name:         "{{name}}",
		Version:      "0.1.0",
		Summary:      "Runs main.py with Python.",
		Homepage:     wit.None[string](),
		ConfigSchema: `{"type":"object","additionalProperties":false}`,
		Examples: []convergence_plugin_plugin_types.Example{{
			Name:   "the starter runs its own main.py",
			Config: "{}",
			Input:  `{"tenantName":"demo","architecture":"amd64","memoryMb":256}`,
			Expect: wit.Some(`{"service":{"command":["python3","main.py"],"port":8080}}`),
		}},
	}
}
