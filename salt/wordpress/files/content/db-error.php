<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// What a reader sees while the database does not answer. The edge may show its own
// page for this status.

if ( PHP_SAPI === 'cli' ) {
	fwrite( STDERR, "the database does not answer\n" );
	exit( 1 );
}
http_response_code( 503 );
header( 'Content-Type: text/html; charset=utf-8' );
header( 'Retry-After: 30' );
header( 'Cache-Control: no-store' );
?>
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Not available for the moment</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/site.css"></head>
<body><main><h1>Not available for the moment</h1>
<p>The blog cannot reach its database. It will be back by itself; please try again in a minute.</p></main></body>
</html>
