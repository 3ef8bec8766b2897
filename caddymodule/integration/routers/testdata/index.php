<?php
// A front controller that routes in the way that ROUTER names, by REQUEST_URI
// unless that says otherwise, and answers with the area that it serves.
$uri = $_SERVER['REQUEST_URI'];
switch ($_SERVER['ROUTER']) {
	case 'parse_url': // as it came
		$path = parse_url($uri, PHP_URL_PATH);
		break;
	case 'decoded': // up to the query, decoded
		$path = rawurldecode(strtok($uri, '?'));
		break;
	case 'document': // as a server before it has read the path
		$path = $_SERVER['DOCUMENT_URI'];
		break;
	case 'segments': // decoded, without empty segments
		$path = '/' . implode('/', array_filter(explode('/', urldecode((string) parse_url($uri, PHP_URL_PATH))), 'strlen'));
		break;
	case 'lenient': // everything that servers are known to do, at once
		$segments = [];
		foreach (explode('/', strtr(rawurldecode(rawurldecode(strtok($uri, '?'))), '\\', '/')) as $segment) {
			$segment = explode(';', $segment)[0];
			$segment = $segment === '..' ? '..' : rtrim($segment, ". \t\r\n");
			if ($segment === '..') {
				array_pop($segments);
			} elseif ($segment !== '') {
				$segments[] = strtolower($segment);
			}
		}
		$path = '/' . implode('/', $segments);
		break;
}
$path = (string) $path;
header('Content-Type: text/plain');
if (preg_match('#^/admin/users/[^/]+/delete/?$#D', $path)) {
	echo 'area:delete';
} elseif (preg_match('#^/(admin|public|other)(/|$)#D', $path, $found)) {
	echo 'area:' . $found[1];
} else {
	http_response_code(404);
	echo 'area:none';
}
