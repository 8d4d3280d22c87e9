// Command api answers requests.
package main

import (
	"log"
	"net/http"
	"os"

	"example.com/workspace/internal/page"
)

func main() {
	http.HandleFunc("/", page.Serve)
	log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
