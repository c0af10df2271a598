<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// WordPress's object cache in memcached, through the broker on this host.
//
// The broker knows no flush, and a keystore may be away when something changes. So
// every key begins with a generation, and the generation is in the database: to void
// all that is kept is to write a new one. This is done for a flush, and whenever a
// change could not be told to the keystore.
//
// After its first fault a request asks the keystore no more: it costs one timeout.

class WP_Object_Cache {

	const OPTION = 'site_cache_generation';

	public $cache_hits   = 0;
	public $cache_misses = 0;

	private $values   = [];
	private $private  = [];
	private $server   = null;
	private $prefix   = '';
	private $max_age  = 0;
	private $unheard  = false;

	public function __construct() {
		global $wpdb;
		$settings      = SITE_SETTINGS['cache'];
		$this->max_age = $settings['max_age'];
		if ( wp_installing() || ! class_exists( 'Memcached' ) ) {
			return;
		}
		$table = $GLOBALS['table_prefix'] . 'options';
		$asked = $wpdb->suppress_errors();
		$found = $wpdb->get_var( $wpdb->prepare( "SELECT option_value FROM `$table` WHERE option_name = %s", self::OPTION ) );
		$wpdb->suppress_errors( $asked );
		if ( $wpdb->last_error ) {
			return;
		}
		$this->prefix = DB_NAME . ':' . ( $found ?? '0' ) . ':';
		$this->server = new Memcached();
		$this->server->setOptions(
			[
				Memcached::OPT_CONNECT_TIMEOUT => (int) ( $settings['connect_timeout'] * 1000 ),
				Memcached::OPT_POLL_TIMEOUT    => (int) ( $settings['timeout'] * 1000 ),
				Memcached::OPT_RECV_TIMEOUT    => (int) ( $settings['timeout'] * 1000000 ),
				Memcached::OPT_SEND_TIMEOUT    => (int) ( $settings['timeout'] * 1000000 ),
				Memcached::OPT_TCP_NODELAY     => true,
				Memcached::OPT_RETRY_TIMEOUT   => 0,
				Memcached::OPT_BINARY_PROTOCOL => false,
			]
		);
		list( $host, $port ) = explode( ':', $settings['server'] );
		$this->server->addServer( $host, (int) $port );
	}

	// -- keys -------------------------------------------------------------------

	private function key( $key, $group ) {
		return ( $group ?: 'default' ) . ':' . $key;
	}

	private function far( $near ) {
		// A hash: memcached takes no blanks, and no more than 250 bytes.
		return $this->prefix . hash( 'sha256', $near );
	}

	private function kept( $group ) {
		return $this->server && ! isset( $this->private[ $group ?: 'default' ] );
	}

	private function valid( $key ) {
		return is_int( $key ) || ( is_string( $key ) && '' !== trim( $key ) );
	}

	// What the keystore answered: true, or false where it has no such key; null when it
	// did not answer, and then it is not asked again.
	private function heard() {
		$code = $this->server->getResultCode();
		if ( Memcached::RES_SUCCESS === $code ) {
			return true;
		}
		if ( in_array( $code, [ Memcached::RES_NOTFOUND, Memcached::RES_NOTSTORED, Memcached::RES_DATA_EXISTS ], true ) ) {
			return false;
		}
		if ( Memcached::RES_E2BIG === $code || Memcached::RES_BAD_KEY_PROVIDED === $code ) {
			return false;
		}
		error_log( 'the object cache does not answer: ' . $this->server->getResultMessage() );
		$this->server = null;
		return null;
	}

	// A change that did not arrive. A reader's page only fills the cache: nothing old is
	// left behind by that.
	private function missed() {
		$method        = $_SERVER['REQUEST_METHOD'] ?? 'CLI';
		$this->unheard = $this->unheard || ! in_array( $method, [ 'GET', 'HEAD' ], true ) || ( function_exists( 'is_admin' ) && is_admin() );
	}

	private function age( $expire ) {
		$expire = (int) $expire;
		return $expire > 0 ? min( $expire, $this->max_age ) : $this->max_age;
	}

	// -- what WordPress asks for --------------------------------------------------

	public function get( $key, $group = 'default', $force = false, &$found = null ) {
		$found = false;
		if ( ! $this->valid( $key ) ) {
			return false;
		}
		$near = $this->key( $key, $group );
		if ( array_key_exists( $near, $this->values ) && ( ! $force || ! $this->kept( $group ) ) ) {
			$found = true;
		} elseif ( $this->kept( $group ) ) {
			$value = $this->server->get( $this->far( $near ) );
			if ( $this->heard() ) {
				$this->values[ $near ] = $value;
				$found                 = true;
			} else {
				unset( $this->values[ $near ] );
			}
		}
		if ( ! $found ) {
			++$this->cache_misses;
			return false;
		}
		++$this->cache_hits;
		$value = $this->values[ $near ];
		return is_object( $value ) ? clone $value : $value;
	}

	public function get_multiple( $keys, $group = 'default', $force = false ) {
		$asked = [];
		if ( $this->kept( $group ) ) {
			foreach ( $keys as $key ) {
				$near = $this->key( $key, $group );
				if ( $this->valid( $key ) && ( $force || ! array_key_exists( $near, $this->values ) ) ) {
					$asked[ $this->far( $near ) ] = $near;
				}
			}
		}
		if ( $asked ) {
			$answer = $this->server->getMulti( array_keys( $asked ) );
			if ( $this->heard() !== null ) {
				foreach ( $asked as $far => $near ) {
					unset( $this->values[ $near ] );
					if ( is_array( $answer ) && array_key_exists( $far, $answer ) ) {
						$this->values[ $near ] = $answer[ $far ];
					}
				}
			}
		}
		$values = [];
		foreach ( $keys as $key ) {
			$value          = $this->values[ $this->key( $key, $group ) ] ?? false;
			$values[ $key ] = is_object( $value ) ? clone $value : $value;
		}
		return $values;
	}

	public function set( $key, $data, $group = 'default', $expire = 0 ) {
		if ( ! $this->valid( $key ) ) {
			return false;
		}
		$near                  = $this->key( $key, $group );
		$this->values[ $near ] = is_object( $data ) ? clone $data : $data;
		if ( $this->kept( $group ) ) {
			$this->server->set( $this->far( $near ), $data, $this->age( $expire ) );
			$heard = $this->heard();
			if ( false === $heard ) {
				// Too big to be kept: nothing older may stay in its place.
				$this->server->delete( $this->far( $near ) );
				$heard = $this->heard();
			}
			if ( null === $heard ) {
				$this->missed();
			}
		} elseif ( ! isset( $this->private[ $group ?: 'default' ] ) ) {
			$this->missed();
		}
		return true;
	}

	public function add( $key, $data, $group = 'default', $expire = 0 ) {
		if ( ! $this->valid( $key ) || ( function_exists( 'wp_suspend_cache_addition' ) && wp_suspend_cache_addition() ) ) {
			return false;
		}
		$near = $this->key( $key, $group );
		if ( array_key_exists( $near, $this->values ) ) {
			return false;
		}
		if ( $this->kept( $group ) ) {
			$this->server->add( $this->far( $near ), $data, $this->age( $expire ) );
			if ( $this->heard() === false ) {
				return false;
			}
		}
		$this->values[ $near ] = is_object( $data ) ? clone $data : $data;
		return true;
	}

	public function replace( $key, $data, $group = 'default', $expire = 0 ) {
		$this->get( $key, $group, false, $found );
		return $found && $this->set( $key, $data, $group, $expire );
	}

	public function delete( $key, $group = 'default' ) {
		if ( ! $this->valid( $key ) ) {
			return false;
		}
		$near  = $this->key( $key, $group );
		$there = array_key_exists( $near, $this->values );
		unset( $this->values[ $near ] );
		if ( $this->kept( $group ) ) {
			$this->server->delete( $this->far( $near ) );
			$heard = $this->heard();
			if ( null === $heard ) {
				$this->missed();
			}
			return $there || $heard;
		}
		if ( ! isset( $this->private[ $group ?: 'default' ] ) ) {
			$this->missed();
		}
		return $there;
	}

	public function count( $key, $offset, $group ) {
		$value = $this->get( $key, $group, true, $found );
		if ( ! $found ) {
			return false;
		}
		$value = max( 0, ( is_numeric( $value ) ? $value : 0 ) + $offset );
		$this->set( $key, $value, $group );
		return $value;
	}

	// Void everything, on every host.
	public function flush() {
		global $wpdb;
		$this->values  = [];
		$this->unheard = false;
		if ( ! isset( $wpdb->options ) ) {
			return true;
		}
		$generation = sprintf( '%d-%s', time(), bin2hex( random_bytes( 4 ) ) );
		$asked      = $wpdb->suppress_errors();
		$wpdb->query(
			$wpdb->prepare(
				"INSERT INTO `{$wpdb->options}` (option_name, option_value, autoload) VALUES (%s, %s, 'off') ON DUPLICATE KEY UPDATE option_value = VALUES(option_value)",
				self::OPTION,
				$generation
			)
		);
		$wpdb->suppress_errors( $asked );
		$this->prefix = DB_NAME . ':' . $generation . ':';
		return true;
	}

	public function flush_runtime() {
		$this->values = [];
		return true;
	}

	public function keep_private( $groups ) {
		foreach ( (array) $groups as $group ) {
			$this->private[ $group ] = true;
		}
	}

	public function close() {
		if ( $this->unheard && ! wp_installing() ) {
			$this->flush();
		}
		return true;
	}
}

function wp_cache_init() {
	$GLOBALS['wp_object_cache'] = new WP_Object_Cache();
}
function wp_cache_add( $key, $data, $group = '', $expire = 0 ) {
	return $GLOBALS['wp_object_cache']->add( $key, $data, $group, $expire );
}
function wp_cache_replace( $key, $data, $group = '', $expire = 0 ) {
	return $GLOBALS['wp_object_cache']->replace( $key, $data, $group, $expire );
}
function wp_cache_set( $key, $data, $group = '', $expire = 0 ) {
	return $GLOBALS['wp_object_cache']->set( $key, $data, $group, $expire );
}
function wp_cache_get( $key, $group = '', $force = false, &$found = null ) {
	return $GLOBALS['wp_object_cache']->get( $key, $group, $force, $found );
}
function wp_cache_get_multiple( $keys, $group = '', $force = false ) {
	return $GLOBALS['wp_object_cache']->get_multiple( $keys, $group, $force );
}
function wp_cache_delete( $key, $group = '' ) {
	return $GLOBALS['wp_object_cache']->delete( $key, $group );
}
function wp_cache_incr( $key, $offset = 1, $group = '' ) {
	return $GLOBALS['wp_object_cache']->count( $key, $offset, $group );
}
function wp_cache_decr( $key, $offset = 1, $group = '' ) {
	return $GLOBALS['wp_object_cache']->count( $key, -$offset, $group );
}
function wp_cache_flush() {
	return $GLOBALS['wp_object_cache']->flush();
}
function wp_cache_flush_runtime() {
	return $GLOBALS['wp_object_cache']->flush_runtime();
}
function wp_cache_supports( $feature ) {
	return in_array( $feature, [ 'get_multiple', 'flush_runtime' ], true );
}
function wp_cache_close() {
	return $GLOBALS['wp_object_cache']->close();
}
function wp_cache_add_global_groups( $groups ) {
}
function wp_cache_add_non_persistent_groups( $groups ) {
	$GLOBALS['wp_object_cache']->keep_private( $groups );
}
function wp_cache_switch_to_blog( $blog_id ) {
}
