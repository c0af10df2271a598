<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// One login: whoever the gate of this host names (component sso-gate) is logged in, in
// each request anew and exactly as long as the gate says so; the blog sets no cookie
// for it. Name, address and role are those of the accounts site. One account alone has
// a password here, for the day on which the accounts site does not work.

defined( 'ABSPATH' ) || exit;

use Saltworks\Sso\Identity;

class Site_Sso {

	/** Whoever sees this word in the address knows what it is for. */
	const BREAK_GLASS = 'breakglass';

	/** Most rights first: somebody in several groups has one role. */
	const ROLES = [ 'administrator', 'editor', 'author', 'contributor' ];

	private static $identity = null;

	/** The account of whom the gate names; null: not looked for yet. */
	private static $person = null;

	/** While an account is made or changed here. */
	private static $writing = false;

	public static function watch() {
		require_once SITE_SETTINGS['sso']['library'];
		self::$identity = Identity::from( $_SERVER );

		// After WordPress's own cookies: the gate's word comes first.
		add_filter( 'determine_current_user', [ self::class, 'current' ], 100 );
		add_filter( 'salt', [ self::class, 'salt' ], 10, 2 );
		// Before WordPress looks at it: what the browser sends by itself needs a nonce.
		add_filter( 'rest_authentication_errors', [ self::class, 'rest' ], 99 );

		remove_filter( 'authenticate', 'wp_authenticate_email_password', 20 );
		add_filter( 'authenticate', [ self::class, 'authenticate' ], 1000 );
		add_action( 'login_init', [ self::class, 'login_page' ] );
		add_filter( 'login_message', static fn ( $said ) => $said . '<p class="message">For the one account that has a password here. All others <a href="/sso/login?to=/">sign in at the accounts site</a>.</p>' );
		add_filter( 'admin_email_check_interval', '__return_zero' );

		add_filter( 'login_url', static fn ( $url, $to ) => home_url( '/sso/login?to=' . self::path( $to ) ), 10, 2 );
		add_filter( 'logout_url', static fn ( $url ) => self::$identity ? home_url( '/sso/logout' ) : $url );
		add_filter( 'logout_redirect', static fn () => home_url( '/' ) );
		add_filter( 'register_url', static fn () => SITE_SETTINGS['sso']['accounts'] . '/register' );
		add_filter( 'lostpassword_url', static fn () => SITE_SETTINGS['sso']['accounts'] . '/resetpwd' );
		// The accounts site is shown in no frame: a new tab instead.
		add_filter( 'wp_auth_check_same_domain', '__return_false' );

		add_filter( 'map_meta_cap', [ self::class, 'rights' ], 10, 2 );
		add_filter( 'wp_pre_insert_user_data', [ self::class, 'keep' ], 10, 3 );
		add_filter( 'send_email_change_email', '__return_false' );
		remove_action( 'personal_options_update', 'send_confirmation_on_profile_email' );
		foreach ( [ 'profile', 'user-edit' ] as $page ) {
			add_action( "admin_head-$page.php", [ self::class, 'hide' ] );
		}
		add_action( 'show_user_profile', [ self::class, 'explain' ] );
		add_action( 'edit_user_profile', [ self::class, 'explain' ] );
	}

	// -- who it is ----------------------------------------------------------------

	public static function current( $user_id ) {
		if ( self::$writing ) {
			return 0;
		}
		if ( self::$identity ) {
			self::$person ??= self::person();
			return self::$person;
		}
		// Cookies of anybody else are of the time before the one login, or forged.
		return $user_id && self::is_break_glass( get_userdata( $user_id ) ) ? $user_id : 0;
	}

	private static function is_break_glass( $user ) {
		return SITE_SETTINGS['sso']['break_glass'] && $user instanceof WP_User && self::is_reserved( $user->user_login );
	}

	/** The first account is nobody's at the accounts site. */
	private static function is_reserved( $name ) {
		return 0 === strcasecmp( $name, SITE_SETTINGS['sso']['account'] );
	}

	/** The account of whom the gate names, as the accounts site says; 0 if there can be none. */
	private static function person() {
		$uid  = self::$identity->uid;
		$user = get_user_by( 'login', $uid );
		// The database compares names less strictly than the directory of people.
		if ( self::is_reserved( $uid ) || ( $user && strtolower( $user->user_login ) !== $uid ) ) {
			error_log( "sso: no account of the blog can have the name $uid" );
			return 0;
		}
		$wanted = self::wanted();
		if ( ! self::is( $user, $wanted ) ) {
			$user = self::bring( $uid, $wanted );
		}
		// Rights that could not be taken away must not be used.
		return self::is( $user, $wanted ) ? $user->ID : 0;
	}

	private static function wanted() {
		$given = array_intersect_key( SITE_SETTINGS['sso']['groups'], array_flip( self::$identity->groups ) );
		$name  = self::stored( 'display_name', self::$identity->name );
		$email = self::stored( 'email', self::$identity->email );
		return [
			// Longer ones the database does not take.
			'display_name' => '' === $name || mb_strlen( $name ) > 250 ? self::$identity->uid : $name,
			'user_email'   => strlen( $email ) > 100 ? '' : $email,
			'role'         => current( array_intersect( self::ROLES, $given ) ) ?: 'subscriber',
		];
	}

	/** A value as WordPress would keep it. */
	private static function stored( $field, $value ) {
		return wp_unslash( apply_filters( "pre_user_$field", wp_slash( $value ) ) );
	}

	private static function is( $user, array $wanted ) {
		return $user
			&& $user->display_name === $wanted['display_name']
			&& $user->user_email === $wanted['user_email']
			&& array_values( $user->roles ) === [ $wanted['role'] ];
	}

	private static function bring( $uid, array $wanted ) {
		global $wpdb;
		$lock          = 'saltworks-sso-' . md5( DB_NAME . "\n$uid" );
		self::$writing = true;
		// Whose an address is the accounts site knows; an old one may still stand here.
		add_filter( 'email_exists', '__return_false' );
		try {
			// The table would take two accounts of one name from two requests.
			$wpdb->get_var( $wpdb->prepare( 'SELECT GET_LOCK(%s, 10)', $lock ) );
			$user = get_user_by( 'login', $uid );
			$done = $user
				? wp_update_user( [ 'ID' => $user->ID ] + wp_slash( $wanted ) )
				: wp_insert_user( [ 'user_login' => $uid, 'user_pass' => wp_generate_password( 64 ) ] + wp_slash( $wanted ) );
		} finally {
			$wpdb->get_var( $wpdb->prepare( 'SELECT RELEASE_LOCK(%s)', $lock ) );
			remove_filter( 'email_exists', '__return_false' );
			self::$writing = false;
		}
		if ( is_wp_error( $done ) ) {
			error_log( "sso: $uid: " . $done->get_error_message() );
			return false;
		}
		return get_userdata( $done );
	}

	/** What a form may be sent with ends with the session at the gate. */
	public static function salt( $salt, $scheme ) {
		return 'nonce' === $scheme && self::$identity ? $salt . hash( 'sha256', self::$identity->session ) : $salt;
	}

	public static function rest( $result ) {
		if ( self::$identity ) {
			$GLOBALS['wp_rest_auth_cookie'] = true;
		}
		return $result;
	}

	// -- ways in and out ----------------------------------------------------------

	/** A right password is a wrong one, but for the one account. */
	public static function authenticate( $user ) {
		return ! $user instanceof WP_User || self::is_break_glass( $user )
			? $user
			: new WP_Error( 'incorrect_password', 'This name and password do not fit together.' );
	}

	/** Instead of WordPress's own function: pages for whoever is logged in. */
	public static function demand() {
		$user_id = get_current_user_id();
		if ( $user_id ) {
			do_action( 'auth_redirect', $user_id );
			return;
		}
		nocache_headers();
		if ( self::$identity ) {
			wp_die( 'Your account at the accounts site cannot be used on the blog.', '', [ 'response' => 403 ] );
		}
		self::leave( '/sso/login?to=' . ( 'GET' === $_SERVER['REQUEST_METHOD'] ? Identity::local( $_SERVER['REQUEST_URI'] ) : '/wp-admin/' ) );
	}

	public static function login_page() {
		$action = $_REQUEST['action'] ?? ( isset( $_GET['key'] ) ? 'rp' : 'login' );
		// The password of a post is nobody's.
		if ( 'postpass' === $action || ( 'logout' === $action && ! self::$identity ) ) {
			return;
		}
		$back = self::path( $_REQUEST['redirect_to'] ?? '/' );
		if ( self::$identity ) {
			self::leave( 'logout' === $action ? '/sso/logout' : $back );
		}
		$asked = isset( $_GET[ self::BREAK_GLASS ] ) || 'POST' === $_SERVER['REQUEST_METHOD'];
		if ( 'login' === $action && $asked && SITE_SETTINGS['sso']['break_glass'] ) {
			return;
		}
		if ( 'register' === $action ) {
			self::leave( wp_registration_url() );
		}
		self::leave( in_array( $action, [ 'lostpassword', 'retrievepassword', 'rp', 'resetpass' ], true ) ? wp_lostpassword_url() : "/sso/login?to=$back" );
	}

	/** Path and query of a page of the blog; any other address leads to the front page. */
	private static function path( $url ) {
		$url = is_string( $url ) ? wp_unslash( $url ) : '';
		return Identity::local( str_starts_with( $url, home_url( '/' ) ) ? substr( $url, strlen( home_url() ) ) : $url );
	}

	private static function leave( $to ) {
		wp_redirect( '/' === $to[0] ? home_url( $to ) : $to );
		exit;
	}

	// -- what belongs to the accounts site ----------------------------------------

	public static function rights( $caps, $cap ) {
		return in_array( $cap, [ 'create_users', 'add_users', 'promote_users', 'promote_user' ], true ) ? [ 'do_not_allow' ] : $caps;
	}

	/** Nobody is made here, and name, address and password stay, whatever a form says. */
	public static function keep( $data, $update, $user_id ) {
		if ( self::$writing || 'cli' === PHP_SAPI ) {
			return $data;
		}
		if ( ! $update ) {
			return null;
		}
		$user = get_userdata( $user_id );
		return array_merge( $data, [
			'user_pass'    => $user->user_pass,
			'user_email'   => $user->user_email,
			'display_name' => $user->display_name,
		] );
	}

	public static function hide() {
		// Sent along as they are: WordPress wants them in the form.
		echo '<style>' . implode( ',', array_map( static fn ( $row ) => ".user-$row-wrap", [ 'first-name', 'last-name', 'nickname', 'display-name', 'email', 'sessions' ] ) ) . '{display:none}</style>';
	}

	public static function explain() {
		printf(
			'<h2>Account</h2><p>Name, e-mail address, password and rights are those of the <a href="%s">account for the whole site</a>.</p>',
			esc_url( SITE_SETTINGS['sso']['accounts'] . '/' )
		);
	}
}

if ( ! empty( SITE_SETTINGS['sso'] ) ) {
	Site_Sso::watch();

	// WordPress's own looks at its cookies alone.
	function auth_redirect() {
		Site_Sso::demand();
	}
}
