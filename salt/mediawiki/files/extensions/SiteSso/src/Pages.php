<?php
# Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace Saltworks\SiteSso;

use MediaWiki\Hook\SkinTemplateNavigation__UniversalHook;
use MediaWiki\SpecialPage\Hook\SpecialPageBeforeExecuteHook;
use MediaWiki\Title\Title;
use Saltworks\Sso\Identity;

/** Links and special pages about logging in lead to the gate. */
class Pages implements SkinTemplateNavigation__UniversalHook, SpecialPageBeforeExecuteHook {
	/** Whoever sees this word in the address knows what it is for. */
	private const BREAK_GLASS = 'breakglass';

	/** @inheritDoc */
	public function onSkinTemplateNavigation__Universal( $sktemplate, &$links ): void {
		$menu = &$links['user-menu'];
		if ( $this->isOurs( $sktemplate->getRequest() ) ) {
			$menu['logout'] = [
				'text' => $sktemplate->msg( 'pt-userlogout' )->text(),
				'href' => '/sso/logout',
				'icon' => 'logOut',
			];
			return;
		}
		$title = $sktemplate->getTitle();
		$here = $title && !$title->isSpecial( 'Userlogin' ) && !$title->isSpecial( 'Userlogout' )
			? $title->getLocalURL( $this->query( $sktemplate->getRequest() ) )
			: '/';
		foreach ( [ 'login', 'login-private' ] as $key ) {
			if ( isset( $menu[$key] ) ) {
				$menu[$key]['href'] = '/sso/login?to=' . Identity::local( $here );
			}
		}
		if ( isset( $menu['login'] ) ) {
			$menu['createaccount'] = [
				'text' => $sktemplate->msg( 'pt-createaccount' )->text(),
				'href' => $this->register( $sktemplate ),
				'icon' => 'userAdd',
			];
		}
	}

	/** @inheritDoc */
	public function onSpecialPageBeforeExecute( $special, $subPage ) {
		$request = $special->getRequest();
		$to = null;
		switch ( $special->getName() ) {
			case 'Userlogin':
				// Its form posts here; only the one account passes.
				if ( !$this->isOurs( $request ) && $special->getConfig()->get( 'SiteSsoBreakGlass' ) !== ''
					&& ( $subPage === self::BREAK_GLASS || $request->wasPosted() )
				) {
					return true;
				}
				$back = Title::newFromText( $request->getText( 'returnto' ) ) ?? Title::newMainPage();
				$path = Identity::local( $back->getLocalURL( $request->getText( 'returntoquery' ) ) );
				$to = $this->isOurs( $request ) ? $path : "/sso/login?to=$path";
				break;
			case 'Userlogout':
				$to = $this->isOurs( $request ) ? '/sso/logout' : null;
				break;
			case 'CreateAccount':
				$to = $this->register( $special );
				break;
			case 'PasswordReset':
				$to = $special->getConfig()->get( 'SiteSsoAccounts' ) . '/';
				break;
		}
		if ( $to === null ) {
			return true;
		}
		$server = $special->getConfig()->get( 'Server' );
		$special->getOutput()->redirect( $to[0] === '/' ? $server . $to : $to );
		return false;
	}

	private function isOurs( $request ): bool {
		return $request->getSession()->getProvider() instanceof SessionProvider;
	}

	private function register( $context ): string {
		return $context->getConfig()->get( 'SiteSsoAccounts' ) . '/register';
	}

	private function query( $request ): array {
		$query = $request->wasPosted() ? [] : $request->getQueryValues();
		unset( $query['title'], $query['returnto'], $query['returntoquery'] );
		return $query;
	}
}
