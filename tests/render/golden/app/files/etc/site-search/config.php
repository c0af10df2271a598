<?php
# Managed by Saltworks: site-search. Local changes are overwritten.
return [
	'name' => 'Web Platform Docs',
	'url' => 'https://search.webplatform.test',
	'home' => 'https://www.webplatform.test/',
	'cache_seconds' => 5,
	'server' => [ 'ca' => '/etc/ssl/site/ca.crt', 'connect_timeout' => 0.5, 'timeout' => 3, 'url' => 'https://127.0.0.1:9200', 'user' => 'search' ] + [
		'password' => '<secret opensearch-search>',
		'write_timeout' => 0,
	],
	'sites' => [
		'blog' => [ 'label' => 'blog', 'home' => 'https://blog.webplatform.test/', 'search' => 'https://blog.webplatform.test/?s=' ],
		'wiki' => [ 'label' => 'wiki', 'home' => 'https://docs.webplatform.test/', 'search' => 'https://docs.webplatform.test/w/index.php?title=Special:Search&fulltext=1&search=' ],
	],
];
