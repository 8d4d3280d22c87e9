// Package export_convergence_policy_evaluator decides whether a change to a tenant may happen.
package export_convergence_policy_evaluator

import (
	"encoding/json"
	"fmt"
	"slices"

	"wit_component/convergence_plugin_plugin_types"
	"wit_component/convergence_policy_policy_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Evaluate refuses a new tenant whose name the operator keeps back.
func Evaluate(
	review convergence_policy_policy_types.Review,
) wit.Result[convergence_policy_policy_types.Verdict, convergence_plugin_plugin_types.PluginError] {
	config := struct{ Reserved []string }{[]string{"admin", "root", "www"}}
	if err := json.Unmarshal([]byte(review.Config), &config); err != nil {
		panic(err)
	}
	verdict := convergence_policy_policy_types.Verdict{Tightened: wit.None[convergence_policy_policy_types.Limits]()}
	// A tenant that has such a name already can still be stopped and destroyed.
	if review.Action == "spawn" && slices.Contains(config.Reserved, review.TenantName) {
		verdict.Violations = append(verdict.Violations, convergence_policy_policy_types.Violation{
			Path:     "name",
			Code:     "name-reserved",
			Message:  fmt.Sprintf("`%s` is kept back here; choose another name", review.TenantName),
			Severity: convergence_policy_policy_types.SeverityDeny,
		})
	}
	return wit.Ok[convergence_policy_policy_types.Verdict, convergence_plugin_plugin_types.PluginError](verdict)
}
