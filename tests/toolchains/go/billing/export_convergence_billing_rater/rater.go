// Package export_convergence_billing_rater says what usage costs. Quantities and money are decimals as text: only the
// functions of `math` compute with them.
package export_convergence_billing_rater

import (
	"encoding/json"
	"fmt"
	"strings"

	. "wit_component/convergence_billing_billing_types"
	"wit_component/convergence_host_math"
	"wit_component/convergence_plugin_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Names what is measured, in terms and in lines.
const need = "usage"

type config struct{ Meter, UnitPrice string }

func settings(text string) config {
	config := config{Meter: "api.requests", UnitPrice: "0.01"}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		panic(err)
	}
	return config
}

// What `math` answers. The host has checked the numbers, and so no answer of it is an error that a caller could avoid.
func exact(answer wit.Result[string, convergence_host_math.MathError]) string {
	if answer.IsErr() {
		panic(fmt.Sprintf("math answered error %d", answer.Err().Tag()))
	}
	return answer.Ok()
}

// Terms says which usage the host must compute before it asks for a rating.
func Terms(text string) wit.Result[RatingTerms, convergence_plugin_plugin_types.PluginError] {
	return wit.Ok[RatingTerms, convergence_plugin_plugin_types.PluginError](RatingTerms{
		Rounding: convergence_host_math.RoundingHalfEven,
		Needs: []Need{{
			Id: need, Meter: settings(text).Meter, Aggregation: MakeAggregationSum(), Bucketing: MakeBucketingSegment(),
		}},
	})
}

// Rate bills each series of usage. The same input must give the same answer: invoices are replayed.
func Rate(input RatingInput) wit.Result[RatingOutput, convergence_plugin_plugin_types.PluginError] {
	price, output := settings(input.Config).UnitPrice, RatingOutput{}
	for _, series := range input.Usage {
		if quantity := exact(convergence_host_math.Sub(series.Quantity, series.AlreadyInvoiced)); quantity != "0" {
			output.Lines = append(output.Lines, line(input, series, quantity, price))
		}
	}
	return wit.Ok[RatingOutput, convergence_plugin_plugin_types.PluginError](output)
}

// Limits says what the host watches between invoices: nothing.
func Limits(input RatingInput) wit.Result[[]UsageLimit, convergence_plugin_plugin_types.PluginError] {
	return wit.Ok[[]UsageLimit, convergence_plugin_plugin_types.PluginError](nil)
}

func line(input RatingInput, series Series, quantity, price string) Line {
	kind := "usage"
	if strings.HasPrefix(quantity, "-") {
		kind = "correction"
	}
	amount := exact(convergence_host_math.Mul(quantity, price))
	return Line{
		Key: need, Kind: kind, Parent: wit.None[string](), Title: series.Meter, Need: wit.Some(series.Need),
		Dimensions: series.Dimensions, Span: input.Period, Quantity: quantity, Unit: series.Unit,
		Amount: amount, TaxCode: wit.None[string](),
		Steps: []Step{{
			Kind: "unit", Rule: "unitPrice", Text: fmt.Sprintf("%s at %s %s", quantity, price, input.Currency),
			Quantity: wit.Some(quantity), Low: wit.None[string](), High: wit.None[string](), UnitPrice: wit.Some(price),
			Amount: amount,
		}},
	}
}
