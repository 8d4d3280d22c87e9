// Package export_convergence_plugin_metadata describes the policy. It is the policy of `convergence plugin new`, in Go.
package export_convergence_plugin_metadata

import (
	_ "embed"

	"wit_component/convergence_plugin_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

//go:embed config.schema.json
var configSchema string

// Describe says what this plugin is.
func Describe() convergence_plugin_plugin_types.Description {
	return convergence_plugin_plugin_types.Description{
		Id:           "{{name}}",
		Kind:         "policy",
		Name:         "{{name}}",
		Version:      "0.1.0",
		Summary:      "Keeps some names of tenants back.",
		Homepage:     wit.None[string](),
		ConfigSchema: configSchema,
		Examples: []convergence_plugin_plugin_types.Example{{
			Name:   "a reserved name is refused",
			Config: "{}",
			Input: `{"action":"spawn","organization":{"id":"1","name":"Example","plan":"",
				"usage":{"tenants":0,"cpuMillis":0,"memoryMb":0,"diskMb":0}},"actorRole":"admin","tenantName":"admin",
				"language":"node","source":"starter",
				"limits":{"cpuMillis":500,"memoryMb":512,"diskMb":2048,"replicas":1,"pids":256}}`,
			Expect: wit.Some(`{"violations":[{"path":"name","code":"name-reserved",
				"message":"` + "`admin`" + ` is kept back here; choose another name","severity":"deny"}]}`),
		}},
	}
}
