// An application that is built by its own Dockerfile and listens on a port of its own.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

var greeting string

func main() {
	http.Handle("/pages/", http.StripPrefix("/pages/", http.FileServer(http.Dir(os.Args[1]))))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "own-dockerfile says: %s\n", greeting)
	})
	log.Fatal(http.ListenAndServe(":9090", nil))
}
