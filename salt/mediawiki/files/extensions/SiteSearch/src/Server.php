<?php
// Managed by Saltworks: mediawiki. Local changes are overwritten.

namespace SiteSearch\Wiki;

use MediaWiki\MediaWikiServices;
use SiteSearch\OpenSearch;

/** The search server as the wiki's settings name it. */
class Server {
	private static function settings(): array {
		return MediaWikiServices::getInstance()->getMainConfig()->get( 'SiteSearchServer' );
	}

	public static function client(): OpenSearch {
		$settings = self::settings();
		require_once $settings['library'];
		return new OpenSearch( $settings );
	}

	public static function index(): string {
		return self::settings()['index'];
	}
}
