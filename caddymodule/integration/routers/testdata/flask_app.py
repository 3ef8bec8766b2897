"""Flask by its routes, on the port of the first argument: each answers with the area that it serves."""

import sys

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__, static_folder=None)


def serve(area, *routes):
    for route in routes:
        app.add_url_rule(route, endpoint=route, view_func=lambda **_: "area:" + area)


serve("delete", "/admin/users/<id>/delete")
serve("admin", "/admin", "/admin/", "/admin/<path:rest>")
serve("public", "/public", "/public/", "/public/<path:rest>")
serve("other", "/other", "/other/", "/other/<path:rest>")


@app.errorhandler(404)
def nowhere(_):
    return "area:none", 404


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=Quiet).serve_forever()
