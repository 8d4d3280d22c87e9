// Package export_convergence_plugin_metadata describes the billing policy. It is that of `convergence plugin new`, in Go.
package export_convergence_plugin_metadata

import (
	_ "embed"

	"wit_component/convergence_plugin_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

//go:embed config.schema.json
var configSchema string

const january = `{"start":"2026-01-01T00:00:00Z","end":"2026-02-01T00:00:00Z"}`

// Describe says what this plugin is.
func Describe() convergence_plugin_plugin_types.Description {
	return convergence_plugin_plugin_types.Description{
		Id:           "{{name}}",
		Kind:         "billing",
		Name:         "{{name}}",
		Version:      "0.1.0",
		Summary:      "Bills each unit of a meter at one price.",
		Homepage:     wit.None[string](),
		ConfigSchema: configSchema,
		Examples: []convergence_plugin_plugin_types.Example{{
			Name:   "each unit has its price",
			Config: "{}",
			Input: `{"organization":"1","subscription":"s-1","currency":"EUR","minorDigits":2,"timezone":"UTC",
				"period":` + january + `,"asOf":"2026-02-01T00:00:00Z","segments":[{"span":` + january + `,"seats":"1"}],
				"usage":[{"need":"usage","meter":"api.requests","unit":"request","quantity":"1250","alreadyInvoiced":"0"}]}`,
			Expect: wit.Some(`{"draws":[],"waived":[]}`),
		}},
	}
}
