<?php
// Reads the request as PHP does and answers the names in hexadecimal.
echo json_encode(array_map('bin2hex', array_map('strval', array_keys(isset($_SERVER['HTTP_COOKIE']) ? $_COOKIE : $_GET))));
