# Reads cookies and queries as applications on Python do: one request a line of
# standard input, a letter and the header or query in hexadecimal; one JSON
# object a line of standard output, from readers to names in hexadecimal.
import http.cookies
import json
import sys
import urllib.parse

import starlette.datastructures
import starlette.requests
import werkzeug.http
import werkzeug.wrappers


def names(read, text):
    try:
        return [n.encode("utf-8", "surrogateescape").hex() for n in read(text)]
    except (ValueError, http.cookies.CookieError):
        return []  # the application answers 400 or reads none


def environ(text):
    return {"HTTP_COOKIE": text.decode("latin-1"), "QUERY_STRING": text.decode("latin-1"), "REQUEST_METHOD": "GET"}


COOKIES = {
    "http.cookies": lambda text: http.cookies.SimpleCookie(text.decode("latin-1")),
    "Starlette": lambda text: starlette.requests.cookie_parser(text.decode("latin-1")),
    "Werkzeug": lambda text: werkzeug.http.parse_cookie(environ(text)),
}
QUERIES = {
    "parse_qsl": lambda text: [n for n, _ in urllib.parse.parse_qsl(text.decode("latin-1"), keep_blank_values=True)],
    "parse_qsl at semicolons": lambda text: [n for n, _ in urllib.parse.parse_qsl(text.decode("latin-1"), keep_blank_values=True, separator=";")],
    "Starlette": lambda text: starlette.datastructures.QueryParams(text.decode("latin-1")).keys(),
    "Werkzeug": lambda text: werkzeug.wrappers.Request(environ(text)).args.keys(),
}

for line in sys.stdin:
    text = bytes.fromhex(line[1:])
    readers = COOKIES if line[0] == "c" else QUERIES
    print(json.dumps({name: names(read, text) for name, read in readers.items()}))
