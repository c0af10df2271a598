<?php

namespace CompatTables;

use MediaWiki\Config\Config;
use MediaWiki\Hook\ParserFirstCallInitHook;
use MediaWiki\Html\Html;
use MediaWiki\Http\HttpRequestFactory;
use MediaWiki\MainConfigNames;
use MediaWiki\Output\Hook\OutputPageParserOutputHook;
use MediaWiki\Page\Hook\ArticlePurgeHook;
use MediaWiki\Page\PageProps;
use MediaWiki\Parser\Parser;
use ObjectCacheFactory;

/**
 * `<compat feature="css/grid"/>` shows since which version browsers can do something.
 */
class Hooks implements ParserFirstCallInitHook, OutputPageParserOutputHook, ArticlePurgeHook {
	/** Of a page: the features whose tables it shows. */
	private const PROPERTY = 'compat-tables';
	/** Seconds that a page with a table is kept, and one that should have one. */
	private const KEEP = 3600;
	private const RETRY = 30;

	private PageProps $properties;
	private Tables $tables;

	public function __construct(
		Config $config, ObjectCacheFactory $caches, HttpRequestFactory $requests, PageProps $properties
	) {
		$cache = $config->get( 'CompatTablesCache' ) ?? $config->get( MainConfigNames::MainCacheType );
		$this->properties = $properties;
		$this->tables = new Tables(
			$caches->getInstance( $cache ),
			$requests,
			$config->get( 'CompatTablesSource' ),
			$config->get( 'CompatTablesAuthority' ),
			$config->get( 'CompatTablesExpiry' )
		);
	}

	/** @inheritDoc */
	public function onParserFirstCallInit( $parser ) {
		$parser->setHook( 'compat', [ $this, 'show' ] );
	}

	/** The table, or why there is none, as HTML. */
	public function show( ?string $text, array $arguments, Parser $parser ): string {
		$output = $parser->getOutput();
		$language = $parser->getTargetLanguage();
		$feature = trim( $arguments['feature'] ?? '' );
		$shown = self::shown( $output->getPageProperty( self::PROPERTY ) );
		$html = $this->tables->html( $feature, $language );
		if ( $html === null ) {
			$output->updateCacheExpiry( self::RETRY );
			$html = Html::warningBox(
				wfMessage( 'compattables-unavailable' )->inLanguage( $language )->escaped()
			);
		} elseif ( $html === '' ) {
			$parser->addTrackingCategory( 'compattables-category-unknown' );
			$html = Html::errorBox(
				wfMessage( 'compattables-unknown' )->plaintextParams( $feature )->inLanguage( $language )->escaped()
			);
		} else {
			$shown[] = $feature;
		}
		$output->updateCacheExpiry( self::KEEP );
		$output->setUnsortedPageProperty( self::PROPERTY, implode( '|', array_unique( $shown ) ) );
		return $html;
	}

	/**
	 * The edge keeps such a page no longer than the wiki does.
	 *
	 * @inheritDoc
	 */
	public function onOutputPageParserOutput( $outputPage, $parserOutput ): void {
		if ( $parserOutput->getPageProperty( self::PROPERTY ) !== null ) {
			$outputPage->lowerCdnMaxage( $parserOutput->getCacheExpiry() );
		}
	}

	/**
	 * A purge of a page is one of its tables, and of the data.
	 *
	 * @inheritDoc
	 */
	public function onArticlePurge( $wikiPage ) {
		$title = $wikiPage->getTitle();
		foreach ( $this->properties->getProperties( $title, self::PROPERTY ) as $value ) {
			$this->tables->forget( self::shown( $value ), $title->getPageLanguage() );
		}
	}

	/** @return string[] The features in the page's property. */
	private static function shown( ?string $value ): array {
		return array_filter( explode( '|', $value ?? '' ) );
	}
}
