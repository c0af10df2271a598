# Managed by Saltworks: lemonldap-ng. Local changes are overwritten.
#
# How a person who signs up is written into the directory. As LemonLDAP::NG's own
# module does it, but for two things: the name to sign in with is made of letters,
# digits and hyphens alone, since that module puts it unescaped into a filter and
# into a name of the directory; and the password that goes out by mail must be
# changed when it is first used.
package Lemonldap::NG::Portal::Register::Saltworks;

use strict;
use Mouse;
use Lemonldap::NG::Portal::Main::Constants qw(PE_OK PE_LDAPERROR);

extends 'Lemonldap::NG::Portal::Register::LDAP';

our $VERSION = '1.0.0';

sub applyLoginRule {
    my ( $self, $req ) = @_;
    my $login = lc( $self->SUPER::applyLoginRule($req) // '' );
    $login =~ s/[^a-z0-9-]//g;
    $login =~ s/^-+//;
    return substr( $login, 0, 32 );
}

sub createUser {
    my ( $self, $req ) = @_;
    my $made = $self->SUPER::createUser($req);
    return $made unless $made == PE_OK;

    my $dn = 'uid=' . $req->data->{registerInfo}->{login} . ',' . $self->conf->{ldapBase};
    my $answer = $self->ldap->modify( $dn, replace => { pwdReset => 'TRUE' } );
    if ( $answer->is_error ) {
        $self->logger->error( "First password of $dn: " . $answer->error );
        return PE_LDAPERROR;
    }
    return PE_OK;
}

1;
