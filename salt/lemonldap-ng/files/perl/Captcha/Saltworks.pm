# Managed by Saltworks: lemonldap-ng. Local changes are overwritten.
#
# A form that asks for no letters from a picture (who cannot see could not sign up),
# but that must be one which the portal has shown, once, and not long ago. The
# page to sign up of LemonLDAP::NG 2.21 does not work without such a module.
package Lemonldap::NG::Portal::Captcha::Saltworks;

use strict;
use Mouse;

extends 'Lemonldap::NG::Common::Module';

our $VERSION = '1.0.0';

has ott => (
    is      => 'rw',
    lazy    => 1,
    default => sub {
        my $ott = $_[0]->{p}->loadModule('Lemonldap::NG::Portal::Lib::OneTimeToken');
        $ott->timeout( $_[0]->{conf}->{formTimeout} );
        return $ott;
    }
);

sub init { return 1; }

sub init_captcha {
    my ( $self, $req ) = @_;
    $self->ott->setToken($req);
}

sub check_captcha {
    my ( $self, $req ) = @_;
    my $token = $req->param('token') or return 0;
    return $self->ott->getToken($token) ? 1 : 0;
}

1;
