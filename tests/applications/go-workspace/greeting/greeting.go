// Package greeting is what the programs of the workspace share.
package greeting

// Of greets a name.
func Of(name string) string { return "Hello from " + name }
