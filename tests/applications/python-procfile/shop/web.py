from bottle import Bottle

app = Bottle()


@app.get("/")
def index():
    return "Hello from python-procfile\n"
