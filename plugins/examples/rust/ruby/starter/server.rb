# frozen_string_literal: true

# A Ruby tenant's first application. It needs no gem, so it starts where nothing can be fetched.
#
# Replace it with your own, such as a config.ru with Rack and Puma; what the platform relies on is that the
# application listens on PORT on all addresses, answers GET /health, and stops on SIGTERM.

require "json"
require "socket"
require "time"
require "timeout"

PORT = Integer(ENV.fetch("PORT", "3000"))
TENANT = { id: ENV.fetch("TENANT_ID", "unknown"), name: ENV.fetch("TENANT_NAME", "unknown") }.freeze

WORKERS = 8
# A client that dawdles keeps a worker this many seconds at most.
PATIENCE = 10
LINE_BYTES = 8192
HEADERS = 100

REASONS = { 200 => "OK", 400 => "Bad Request", 404 => "Not Found", 405 => "Method Not Allowed" }.freeze

def log(level, message)
  puts "#{Time.now.utc.iso8601} [#{level}] #{message}"
end

# Status and body for a request.
def answer(method, path)
  return [405, { error: "only GET and HEAD are answered here" }] unless %w[GET HEAD].include?(method)

  case path
  when "/health" then [200, { status: "ok" }]
  when "/" then [200, { message: "Hello from #{TENANT[:name]}", tenant: TENANT, language: "ruby", framework: "plain" }]
  else [404, { error: "there is nothing at this path" }]
  end
end

# Method and path of the request; nil when it is none.
def read_request(client)
  method, target, version = client.gets("\n", LINE_BYTES)&.split
  return unless version&.start_with?("HTTP/1.")

  HEADERS.times do
    line = client.gets("\n", LINE_BYTES) or return
    return [method, target.split("?", 2).first] if line.strip.empty?
  end
  nil
end

def serve(client)
  Timeout.timeout(PATIENCE) do
    method, path = read_request(client)
    status, body = method ? answer(method, path) : [400, { error: "this is not an HTTP request" }]
    text = JSON.generate(body)
    client.write(
      "HTTP/1.1 #{status} #{REASONS.fetch(status)}\r\n" \
      "Content-Type: application/json\r\nContent-Length: #{text.bytesize}\r\nConnection: close\r\n\r\n"
    )
    client.write(text) unless method == "HEAD"
  end
rescue SystemCallError, IOError, Timeout::Error => e
  log("DEBUG", "a connection ended early: #{e.class}")
ensure
  client.close
end

$stdout.sync = true
stopped, stop = IO.pipe
# A handler may take no lock, so all it does is to wake the main thread.
Signal.trap("TERM") { stop.write_nonblock(".") }
Signal.trap("INT") { stop.write_nonblock(".") }

server = TCPServer.new("0.0.0.0", PORT)
workers = Array.new(WORKERS) do
  Thread.new do
    loop { serve(server.accept) }
  rescue IOError
    # Closed below.
  end
end
log("INFO", "Listening on port #{PORT}")

stopped.wait_readable
server.close
workers.each { |worker| worker.join(PATIENCE) }
log("INFO", "Stopped")
