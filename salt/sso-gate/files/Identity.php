<?php
# Managed by Saltworks: sso-gate. Local changes are overwritten.

namespace Saltworks\Sso;

/**
 * Who the gate says makes this request.
 *
 * Read from FastCGI parameters that nginx sets for each request
 * (snippets/sso-identity.conf) and that no header of a client can set.
 */
final class Identity {
	private function __construct(
		public readonly string $uid,
		public readonly string $name,
		public readonly string $email,
		/** @var string[] sorted */
		public readonly array $groups,
		/** Tells this sign-in from others of the same person. */
		public readonly string $session,
	) {
	}

	/**
	 * @param array $server $_SERVER
	 * @return self|null null for a stranger, and for what is not a whole identity
	 */
	public static function from( array $server ): ?self {
		// A name in LDAP is the same in upper and lower case; here it must be one.
		$uid = strtolower( self::claim( $server, 'USER' ) ?? '' );
		$cookie = self::cookie( (string)( $server['HTTP_COOKIE'] ?? '' ) );
		if ( !preg_match( '/^[a-z0-9][a-z0-9._-]{0,63}$/', $uid ) || $cookie === '' ) {
			return null;
		}
		$email = self::claim( $server, 'EMAIL' ) ?? '';
		$groups = preg_split( '/[,;\s]+/', self::claim( $server, 'GROUPS' ) ?? '', -1, PREG_SPLIT_NO_EMPTY );
		sort( $groups );
		return new self(
			$uid,
			self::claim( $server, 'NAME' ) ?? '',
			filter_var( $email, FILTER_VALIDATE_EMAIL ) ? $email : '',
			array_values( array_unique( $groups ) ),
			( self::claim( $server, 'SID' ) ?? '' ) . "\n" . $cookie
		);
	}

	/** Changes whenever something that an app keeps of the person has changed. */
	public function print(): string {
		return hash( 'sha256', json_encode( [ $this->uid, $this->name, $this->email, $this->groups ] ) );
	}

	/**
	 * The path and query of a page of this site, for `/sso/login?to=`. Whatever is not
	 * one leads to the front page.
	 */
	public static function local( string $url ): string {
		if ( !preg_match( '~^/(?![/\\\\])~', $url ) ) {
			return '/';
		}
		return preg_replace_callback(
			'~[^A-Za-z0-9._\~!$&\'()*+,;=:@%/?-]~',
			static fn ( $found ) => rawurlencode( $found[0] ),
			explode( '#', $url )[0]
		);
	}

	private static function claim( array $server, string $name ): ?string {
		$given = (string)( $server["SITE_SSO_$name"] ?? '' );
		// What the gate could not encode, and anything that did not come from it.
		if ( $given === '' || !preg_match( '/^[A-Za-z0-9_-]+$/', $given ) ) {
			return null;
		}
		$text = base64_decode( strtr( $given, '-_', '+/' ), true );
		return $text !== false && preg_match( '//u', $text ) && !preg_match( '/[\x00-\x1f\x7f]/', $text )
			? trim( $text ) : null;
	}

	private static function cookie( string $header ): string {
		return preg_match( '/(?:^|;\s*)sso_session=([^;]+)/', $header, $found ) ? $found[1] : '';
	}
}
