import os
from wsgiref.simple_server import make_server

from shout.text import shout


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{shout('hello')} from python-poetry\n".encode()]


def main():
    make_server("", int(os.environ["PORT"]), application).serve_forever()
