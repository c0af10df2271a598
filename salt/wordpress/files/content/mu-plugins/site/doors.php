<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// Ways in that the site has not, and names of accounts that nobody needs to know.

defined( 'ABSPATH' ) || exit;

add_filter( 'xmlrpc_enabled', '__return_false' );
add_filter( 'xmlrpc_methods', '__return_empty_array' );
add_filter( 'pings_open', '__return_false' );
remove_action( 'wp_head', 'rsd_link' );
add_filter(
	'wp_headers',
	static function ( $headers ) {
		unset( $headers['X-Pingback'] );
		return $headers;
	}
);
add_filter( 'wp_is_application_passwords_available', '__return_false' );
// Accounts belong to the site's login, and so do their passwords.
add_filter( 'allow_password_reset', '__return_false' );
add_filter( 'show_password_fields', '__return_false' );

// One sentence for a wrong name and a wrong password.
add_filter( 'login_errors', static fn () => 'This name and password do not fit together.' );

// Pages by author would tell the names that people log in with.
add_action(
	'parse_request',
	static function ( $wp ) {
		if ( ! is_admin() && ( isset( $wp->query_vars['author'] ) || isset( $wp->query_vars['author_name'] ) ) ) {
			$wp->query_vars = [ 'error' => '404' ];
		}
	}
);
add_filter( 'author_rewrite_rules', '__return_empty_array' );
add_filter( 'author_link', static fn () => home_url( '/' ) );
add_filter( 'wp_sitemaps_add_provider', static fn ( $provider, $name ) => 'users' === $name ? false : $provider, 10, 2 );
add_filter(
	'oembed_response_data',
	static function ( $data ) {
		unset( $data['author_url'] );
		return $data;
	}
);
add_filter( 'comment_class', static fn ( $classes ) => array_values( preg_grep( '/^comment-author-/', $classes, PREG_GREP_INVERT ) ) );
add_filter(
	'rest_pre_dispatch',
	static function ( $answer, $server, $request ) {
		if ( preg_match( '#^/wp/v2/users\b#', $request->get_route() ) && ! is_user_logged_in() ) {
			return new WP_Error( 'rest_login_required', 'Only who is logged in may see this.', [ 'status' => 401 ] );
		}
		return $answer;
	},
	10,
	3
);
