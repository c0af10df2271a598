<?php

namespace SiteStatus;

use MediaWiki\Hook\ParserFirstCallInitHook;
use MediaWiki\Html\Html;
use MediaWiki\Parser\Parser;

/**
 * `<site-status>draft</site-status>` tells readers how far a page is, and puts it into a
 * category by which writers find what is to be done.
 */
class Hooks implements ParserFirstCallInitHook {
	private const STATES = [ 'draft', 'review', 'outdated' ];

	/** @inheritDoc */
	public function onParserFirstCallInit( $parser ) {
		$parser->setHook( 'site-status', [ $this, 'show' ] );
	}

	/** The notice, or what is wrong with it, as HTML. */
	public function show( ?string $text, array $arguments, Parser $parser ): string {
		$state = trim( (string)$text );
		if ( !in_array( $state, self::STATES, true ) ) {
			$known = implode( ', ', self::STATES );
			return Html::errorBox( wfMessage( 'sitestatus-unknown', $state, $known )->inContentLanguage()->escaped() );
		}
		$parser->addTrackingCategory( "sitestatus-category-$state" );
		$parser->getOutput()->addModuleStyles( [ 'ext.siteStatus' ] );
		return Html::element(
			'p',
			[ 'class' => "site-status site-status-$state", 'role' => 'note' ],
			wfMessage( "sitestatus-$state" )->inContentLanguage()->text()
		);
	}
}
