<?php
// Managed by Saltworks: wordpress. Local changes are overwritten.
//
// Mail goes to the relay on this host, in the site's name.

defined( 'ABSPATH' ) || exit;

add_action(
	'phpmailer_init',
	static function ( $mailer ) {
		$mailer->isSMTP();
		$mailer->Host        = '127.0.0.1';
		$mailer->Port        = 25;
		$mailer->SMTPAuth    = false;
		$mailer->SMTPAutoTLS = false;
		$mailer->Timeout     = 5;
		$mailer->Hostname    = substr( strrchr( SITE_SETTINGS['sender'], '@' ), 1 );
		$mailer->Sender      = SITE_SETTINGS['sender'];
	}
);
add_filter( 'wp_mail_from', static fn () => SITE_SETTINGS['sender'] );
add_filter( 'wp_mail_from_name', static fn () => SITE_SETTINGS['options']['blogname'] );
