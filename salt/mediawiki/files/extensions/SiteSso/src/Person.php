<?php
# Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace Saltworks\SiteSso;

use MediaWiki\Auth\AuthManager;
use MediaWiki\MediaWikiServices;
use MediaWiki\Session\SessionManager;
use MediaWiki\User\User;
use Saltworks\Sso\Identity;
use Wikimedia\Rdbms\IDBAccessObject;

/** The account of whom the gate names: made at the first visit, kept as the accounts site says. */
class Person {
	public static function arrive(): void {
		if ( defined( 'MW_NO_SESSION' ) || MW_ENTRY_POINT === 'cli' ) {
			return;
		}
		$session = SessionManager::getGlobalSession();
		$identity = Identity::from( $_SERVER );
		if ( !$identity || !$session->getProvider() instanceof SessionProvider ) {
			return;
		}
		$services = MediaWikiServices::getInstance();
		$user = $session->getUser();
		if ( $user->getId() === 0 ) {
			$services->getAuthManager()
				->autoCreateUser( $user, AuthManager::AUTOCREATE_SOURCE_SESSION, true, true, $user );
		}
		// Each change is made once for a session, not asked for in each request.
		if ( $user->getId() === 0 || $session->get( 'SiteSso' ) === $identity->print() ) {
			return;
		}
		if ( $services->getReadOnlyMode()->isReadOnly() ) {
			return;
		}
		self::follow( $services, $user, $identity );
		$session->set( 'SiteSso', $identity->print() );
	}

	private static function follow( MediaWikiServices $services, User $user, Identity $identity ): void {
		$quiet = \Profiler::instance()->getTransactionProfiler()->silenceForScope();
		$map = $services->getMainConfig()->get( 'SiteSsoGroups' );
		$granted = array_merge( [], ...array_values( array_intersect_key( $map, array_flip( $identity->groups ) ) ) );
		$managed = array_unique( array_merge( [], ...array_values( $map ) ) );
		$groups = $services->getUserGroupManager();
		$has = $groups->getUserGroups( $user, IDBAccessObject::READ_LATEST );
		foreach ( array_diff( array_intersect( $has, $managed ), $granted ) as $group ) {
			$groups->removeUserFromGroup( $user, $group );
		}
		foreach ( array_diff( $granted, $has ) as $group ) {
			$groups->addUserToGroup( $user, $group );
		}
		if ( $user->getRealName() !== $identity->name || $user->getEmail() !== $identity->email ) {
			$user = $services->getUserFactory()->newFromId( $user->getId() )->getInstanceForUpdate();
			$user->setRealName( $identity->name );
			$user->setEmail( $identity->email );
			if ( $identity->email !== '' ) {
				// The accounts site asked for the confirmation.
				$user->setEmailAuthenticationTimestamp( wfTimestampNow() );
			}
			$user->saveSettings();
		}
	}
}
