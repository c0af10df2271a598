<?php
add_action(
	'wp_enqueue_scripts',
	static function () {
		// The look of the whole site, served by this host.
		wp_enqueue_style( 'site', '/site.css', [], null );
		wp_enqueue_style( 'saltworks', get_stylesheet_uri(), [ 'site' ], wp_get_theme()->get( 'Version' ) );
	}
);
