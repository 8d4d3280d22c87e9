// Package page has the pages of the service.
package page

import (
	"embed"
	"html/template"
	"net/http"

	"example.com/workspace/greeting"
)

//go:embed index.html
var files embed.FS

var pages = template.Must(template.ParseFS(files, "*.html"))

// Serve answers with the first page.
func Serve(w http.ResponseWriter, _ *http.Request) {
	_ = pages.ExecuteTemplate(w, "index.html", greeting.Of("go-workspace"))
}
