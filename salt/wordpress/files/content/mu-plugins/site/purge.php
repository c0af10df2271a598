<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// Tells the edge which pages have changed, before the one who changed them gets the
// answer. All caches at once, and never longer than the timeout: one that is down
// costs that much and no more, and has an empty cache when it is back.

defined( 'ABSPATH' ) || exit;

class Site_Purge {

	private static $paths = [];

	public static function watch() {
		add_action( 'transition_post_status', [ self::class, 'status' ], 10, 3 );
		// Before a change, too: its old address, its old category.
		add_action( 'pre_post_update', [ self::class, 'post' ] );
		add_action( 'post_updated', [ self::class, 'post' ] );
		// When a post goes to the trash, its name is changed before anything else.
		add_action( 'wp_trash_post', [ self::class, 'post' ] );
		add_action( 'before_delete_post', [ self::class, 'post' ] );
		add_action( 'set_object_terms', [ self::class, 'post' ] );
		add_action( 'comment_post', [ self::class, 'comment' ] );
		add_action( 'edit_comment', [ self::class, 'comment' ] );
		add_action( 'delete_comment', [ self::class, 'comment' ] );
		add_action( 'wp_set_comment_status', [ self::class, 'comment' ] );
		add_action( 'edited_term', [ self::class, 'term' ], 10, 3 );
		add_action( 'wp_update_nav_menu', [ self::class, 'front' ] );
		add_action( 'shutdown', [ self::class, 'send' ], 0 );
	}

	public static function status( $new, $old, $post ) {
		if ( 'publish' === $new || 'publish' === $old ) {
			self::post( $post->ID );
		}
	}

	public static function front() {
		self::add( home_url( '/' ) );
		self::add( get_bloginfo( 'rss2_url' ) );
		self::add( get_bloginfo( 'atom_url' ) );
		self::add( home_url( '/wp-sitemap.xml' ) );
	}

	public static function post( $id ) {
		$post = get_post( $id );
		if ( ! $post || wp_is_post_revision( $post ) || ! is_post_type_viewable( $post->post_type ) || 'publish' !== $post->post_status ) {
			return;
		}
		self::front();
		self::add( get_permalink( $post ) );
		self::add( get_post_comments_feed_link( $post->ID ) );
		foreach ( get_object_taxonomies( $post ) as $taxonomy ) {
			foreach ( wp_get_post_terms( $post->ID, $taxonomy ) as $term ) {
				self::add( get_term_link( $term ) );
			}
		}
		$time = strtotime( $post->post_date );
		self::add( get_year_link( gmdate( 'Y', $time ) ) );
		self::add( get_month_link( gmdate( 'Y', $time ), gmdate( 'm', $time ) ) );
	}

	public static function comment( $id ) {
		$comment = get_comment( $id );
		if ( $comment ) {
			self::post( $comment->comment_post_ID );
			self::add( get_bloginfo( 'comments_rss2_url' ) );
		}
	}

	public static function term( $id, $tt_id, $taxonomy ) {
		self::front();
		self::add( get_term_link( (int) $id, $taxonomy ) );
	}

	private static function add( $url ) {
		if ( is_string( $url ) && '' !== $url ) {
			$parts = wp_parse_url( $url );
			$path  = ( $parts['path'] ?? '/' ) . ( isset( $parts['query'] ) ? '?' . $parts['query'] : '' );

			self::$paths[ $path ] = true;
		}
	}

	public static function send() {
		$settings    = SITE_SETTINGS['purge'];
		$paths       = array_keys( self::$paths );
		self::$paths = [];
		if ( ! $paths ) {
			return;
		}
		$ask = '';
		foreach ( $paths as $number => $path ) {
			$last = count( $paths ) - 1 === $number ? 'close' : 'keep-alive';
			$ask .= "PURGE $path HTTP/1.1\r\nHost: {$settings['host']}\r\nConnection: $last\r\n\r\n";
		}
		$until = microtime( true ) + $settings['timeout'];
		$lines = [];
		foreach ( $settings['caches'] as $cache ) {
			// phpcs:ignore WordPress.PHP.NoSilencedErrors.Discouraged -- looked at below.
			$line = @stream_socket_client( "tcp://$cache", $code, $why, $settings['timeout'], STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT );
			if ( $line ) {
				stream_set_blocking( $line, false );
				$lines[ $cache ] = [ 'line' => $line, 'ask' => $ask, 'answer' => '' ];
			} else {
				self::unheard( $cache, $why );
			}
		}
		while ( $lines ) {
			$left  = $until - microtime( true );
			$read  = array_column( $lines, 'line' );
			$write = array_column( array_filter( $lines, static fn ( $one ) => '' !== $one['ask'] ), 'line' );
			$other = null;
			if ( $left <= 0 || ! stream_select( $read, $write, $other, 0, (int) ( $left * 1000000 ) ) ) {
				break;
			}
			foreach ( $lines as $cache => &$one ) {
				if ( in_array( $one['line'], $write, true ) ) {
					$sent = @fwrite( $one['line'], $one['ask'] );
					if ( false === $sent || 0 === $sent ) {
						self::unheard( $cache, 'refused' );
						unset( $lines[ $cache ] );
						continue;
					}
					$one['ask'] = substr( $one['ask'], $sent );
				}
				if ( in_array( $one['line'], $read, true ) ) {
					$one['answer'] .= (string) @fread( $one['line'], 65536 );
					if ( feof( $one['line'] ) ) {
						$purged = preg_match_all( '#^HTTP/1\.1 2\d\d#m', $one['answer'] );
						if ( $purged < count( $paths ) ) {
							self::unheard( $cache, sprintf( '%d of %d purged', $purged, count( $paths ) ) );
						}
						unset( $lines[ $cache ] );
					}
				}
			}
			unset( $one );
		}
		foreach ( array_keys( $lines ) as $cache ) {
			self::unheard( $cache, 'no answer in time' );
		}
	}

	private static function unheard( $cache, $why ) {
		error_log( "purge: $cache: $why" );
	}
}

Site_Purge::watch();
