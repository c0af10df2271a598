<?php
# Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace Saltworks\SiteSso;

use MediaWiki\Auth\AuthenticationRequest;
use MediaWiki\Auth\LocalPasswordPrimaryAuthenticationProvider;
use MediaWiki\Auth\PasswordAuthenticationRequest;

/**
 * Passwords of the wiki, for one account alone: for the day on which the accounts
 * site does not work. MediaWiki's limit of attempts holds here, too.
 */
class BreakGlass extends LocalPasswordPrimaryAuthenticationProvider {
	private function isIt( ?string $name ): bool {
		$account = $this->config->get( 'SiteSsoBreakGlass' );
		return $account !== '' && $name !== null && $this->userNameUtils->getCanonical( $name ) === $account;
	}

	/** @inheritDoc */
	public function beginPrimaryAuthentication( array $reqs ) {
		$req = AuthenticationRequest::getRequestByClass( $reqs, PasswordAuthenticationRequest::class );
		// Every other name gets the answer of a wrong password.
		return $req && $req->username !== null && $req->password !== null && !$this->isIt( $req->username )
			? $this->failResponse( $req )
			: parent::beginPrimaryAuthentication( $reqs );
	}

	/** @inheritDoc */
	public function testUserCanAuthenticate( $username ) {
		return $this->isIt( $username ) && parent::testUserCanAuthenticate( $username );
	}

	/** @inheritDoc */
	public function providerAllowsPropertyChange( $property ) {
		// Name and address are the accounts site's.
		return false;
	}

	/** @inheritDoc */
	public function providerAllowsAuthenticationDataChange( AuthenticationRequest $req, $checkData = true ) {
		return $this->isIt( $req->username )
			? parent::providerAllowsAuthenticationDataChange( $req, $checkData )
			: \StatusValue::newGood( 'ignored' );
	}

	/** @inheritDoc */
	public function providerChangeAuthenticationData( AuthenticationRequest $req ) {
		if ( $this->isIt( $req->username ) ) {
			parent::providerChangeAuthenticationData( $req );
		}
	}

	/** @inheritDoc */
	public function accountCreationType() {
		return self::TYPE_NONE;
	}
}
