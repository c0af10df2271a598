<?php
# Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace Saltworks\SiteSso;

use MediaWiki\Request\WebRequest;
use MediaWiki\Session\SessionBackend;
use MediaWiki\Session\SessionInfo;
use MediaWiki\Session\SessionProvider as Base;
use MediaWiki\Session\UserInfo;
use MediaWiki\User\UserRigorOptions;
use Saltworks\Sso\Identity;

/**
 * A session for whom the gate names, in each request anew: it lasts exactly as long
 * as the gate's own, on all hosts. The wiki sets no cookie for it.
 */
class SessionProvider extends Base {
	/** Above MediaWiki's own cookies (30), which are for the break-glass account. */
	private const PRIORITY = 60;

	public function __construct() {
		$this->priority = self::PRIORITY;
	}

	/** @inheritDoc */
	public function provideSessionInfo( WebRequest $request ) {
		$identity = Identity::from( $_SERVER );
		if ( !$identity ) {
			return null;
		}
		$name = $this->userNameUtils->getCanonical( $identity->uid, UserRigorOptions::RIGOR_USABLE );
		if ( $name === false || $name === $this->getConfig()->get( 'SiteSsoBreakGlass' ) ) {
			$this->logger->warning( 'No wiki account can have the name {uid}', [ 'uid' => $identity->uid ] );
			return null;
		}
		return new SessionInfo( self::PRIORITY, [
			'provider' => $this,
			'id' => $this->hashToSessionId( "$identity->uid\n$identity->session" ),
			'idIsSafe' => true,
			'forceUse' => true,
			'persisted' => true,
			'userInfo' => UserInfo::newFromName( $name, true ),
		] );
	}

	/** @inheritDoc */
	public function persistsSessionId() {
		return false;
	}

	/** @inheritDoc */
	public function canChangeUser() {
		return false;
	}

	/** @inheritDoc */
	public function persistSession( SessionBackend $session, WebRequest $request ) {
	}

	/** @inheritDoc */
	public function unpersistSession( WebRequest $request ) {
	}

	/** @inheritDoc */
	public function preventSessionsForUser( $username ) {
		// The accounts site decides, and names of the wiki's own are never let in.
	}

	/** @inheritDoc */
	public function getVaryCookies() {
		return [ 'sso_session' ];
	}
}
