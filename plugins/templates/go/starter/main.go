// A Go tenant's first application. Replace it with your own; what the platform relies on is that the
// application listens on PORT on all addresses, answers GET /health, and stops on SIGTERM.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type tenant struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type welcome struct {
	Message   string `json:"message"`
	Tenant    tenant `json:"tenant"`
	Language  string `json:"language"`
	Framework string `json:"framework"`
}

func main() {
	port := environment("PORT", "3000")
	// The image has nothing but this program in it, so its health check is this program too.
	if len(os.Args) == 2 && os.Args[1] == "-health" {
		os.Exit(askHealth(port))
	}
	if err := serve(port); err != nil {
		logLine("ERROR", err.Error())
		os.Exit(1)
	}
}

func serve(port string) error {
	who := tenant{ID: environment("TENANT_ID", "unknown"), Name: environment("TENANT_NAME", "unknown")}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			answer(w, http.StatusNotFound, map[string]string{"error": "nothing at " + r.URL.Path})
			return
		}
		answer(w, http.StatusOK, welcome{
			Message:   "Hello from " + who.Name,
			Tenant:    who,
			Language:  "go",
			Framework: "stdlib",
		})
	})

	listener, err := net.Listen("tcp", "0.0.0.0:"+port)
	if err != nil {
		return fmt.Errorf("cannot listen on port %s: %w", port, err)
	}
	logLine("INFO", "Listening on port "+port)

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	logLine("INFO", "Stopping")
	// Answers under way are finished for at most a second.
	limit, release := context.WithTimeout(context.Background(), time.Second)
	defer release()
	if err := server.Shutdown(limit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		logLine("ERROR", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that is gone already is no error of ours.
	_, _ = w.Write(text)
}

func askHealth(port string) int {
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		return 1
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}

func environment(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func logLine(level, message string) {
	fmt.Printf("%s [%s] %s\n", time.Now().UTC().Format("2006-01-02T15:04:05Z"), level, message)
}
