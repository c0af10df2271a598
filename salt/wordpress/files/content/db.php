<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// WordPress knows no CA of a database: this connection is encrypted, and the
// server's certificate verified, or there is none.

class Site_Database extends wpdb {

	public function db_connect( $allow_bail = true ) {
		$this->is_mysql = true;
		$settings       = SITE_SETTINGS['database'];
		mysqli_report( MYSQLI_REPORT_OFF );
		$this->dbh = mysqli_init();
		mysqli_options( $this->dbh, MYSQLI_OPT_CONNECT_TIMEOUT, $settings['connect_timeout'] );
		mysqli_options( $this->dbh, MYSQLI_OPT_SSL_VERIFY_SERVER_CERT, 1 );
		mysqli_ssl_set( $this->dbh, null, null, $settings['ca'], null, null );
		list( $host, $port ) = $this->parse_db_host( $this->dbhost );
		$flags = MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_VERIFY_SERVER_CERT;
		// phpcs:ignore WordPress.PHP.NoSilencedErrors.Discouraged -- the error is looked at below.
		if ( ! @mysqli_real_connect( $this->dbh, $host, $this->dbuser, $this->dbpassword, null, $port, null, $flags ) ) {
			error_log( 'the database does not let the blog in: ' . mysqli_connect_error() );
			$this->dbh = null;
			if ( $allow_bail ) {
				require __DIR__ . '/db-error.php';
				die();
			}
			return false;
		}
		if ( ! $this->has_connected ) {
			$this->init_charset();
		}
		$this->has_connected = true;
		$this->set_charset( $this->dbh );
		$this->ready = true;
		$this->set_sql_mode();
		$this->select( $this->dbname, $this->dbh );
		return true;
	}
}

$wpdb = new Site_Database( DB_USER, DB_PASSWORD, DB_NAME, DB_HOST );
