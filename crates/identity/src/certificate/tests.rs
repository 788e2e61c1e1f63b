use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, SanType};

use super::*;

fn certificate(names: Vec<SanType>, subject: &[(DnType, &str)], ca: bool) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.subject_alt_names = names;
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2027, 1, 1), rcgen::date_time_ymd(2028, 1, 1));
    if ca {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn map(names: &[(CertificateName, &str)]) -> CertificateMap {
    CertificateMap::new(
        names.iter().map(|(name, consumer)| (name.clone(), Arc::from(*consumer), Arc::from([]))),
    )
    .unwrap()
}

fn owner(map: &CertificateMap, der: &[u8]) -> Option<String> {
    match map.owner(&CertificateIdentity::parse(der).unwrap()) {
        CertificateOwner::Consumer(principal) => Some(principal.consumer.to_string()),
        CertificateOwner::Unknown => None,
        CertificateOwner::Ambiguous => Some("(ambiguous)".to_owned()),
    }
}

#[test]
fn every_kind_of_name_leads_to_its_consumer() {
    let subject =
        [(DnType::CountryName, "SE"), (DnType::OrganizationName, "Acme"), (DnType::CommonName, "app, one")];
    let mail = SanType::Rfc822Name("ops@example.com".try_into().unwrap());
    let der = certificate(vec![dns("App.example.com"), uri("urn:app:1"), mail], &subject, false);
    let identity = CertificateIdentity::parse(&der).unwrap();
    assert_eq!(identity.subject(), "CN=app\\, one,O=Acme,C=SE");
    assert_eq!(identity.thumbprint(), Thumbprint::of(&der));
    assert_eq!(identity.validity(), (1_798_761_600, 1_830_297_600));
    for name in [
        CertificateName::Subject("CN=app\\, one,O=Acme,C=SE".into()),
        CertificateName::Uri("urn:app:1".into()),
        CertificateName::dns("app.EXAMPLE.com"),
        CertificateName::Email("ops@example.com".into()),
        CertificateName::Thumbprint(Thumbprint::of(&der)),
    ] {
        assert_eq!(owner(&map(&[(name.clone(), "shop")]), &der).as_deref(), Some("shop"), "{name:?}");
    }
    for other in [
        CertificateName::Subject("CN=app".into()),
        CertificateName::Uri("urn:app:2".into()),
        CertificateName::dns("example.com"),
        CertificateName::dns("urn:app:1"),
        CertificateName::Uri("App.example.com".into()),
        CertificateName::Email("App.example.com".into()),
        CertificateName::Thumbprint(Thumbprint::of(b"other")),
    ] {
        assert_eq!(owner(&map(&[(other.clone(), "shop")]), &der), None, "{other:?}");
    }
}

#[test]
fn a_certificate_stands_for_one_consumer_or_for_none() {
    let der = certificate(vec![dns("a.example"), dns("b.example")], &[], false);
    let both = |a, b| map(&[(CertificateName::dns("a.example"), a), (CertificateName::dns("b.example"), b)]);
    assert_eq!(owner(&both("shop", "shop"), &der).as_deref(), Some("shop"));
    assert_eq!(owner(&both("shop", "bank"), &der).as_deref(), Some("(ambiguous)"));
    let twice = [("shop", "x"), ("bank", "x")]
        .map(|(consumer, name)| (CertificateName::dns(name), Arc::from(consumer), Arc::from([])));
    assert_eq!(CertificateMap::new(twice).unwrap_err(), SameName("shop".into(), "bank".into()));
    assert!(map(&[]).is_empty() && !both("shop", "shop").is_empty());
}

#[test]
fn spiffe_ids_stand_alone_and_authorities_do_not_call() {
    let one = certificate(vec![uri("spiffe://example.org/orders"), dns("orders")], &[], false);
    let identity = CertificateIdentity::parse(&one).unwrap();
    assert_eq!(identity.spiffe().map(SpiffeId::as_str), Some("spiffe://example.org/orders"));
    let names = [(CertificateName::Uri("spiffe://example.org/orders".into()), "orders")];
    assert_eq!(owner(&map(&names), &one).as_deref(), Some("orders"));
    let two = certificate(vec![uri("spiffe://example.org/orders"), uri("https://x")], &[], false);
    assert_eq!(CertificateIdentity::parse(&two), Err(CertificateError::Spiffe(SpiffeIdError::NotAlone)));
    let bad = certificate(vec![uri("spiffe://example.org/../x")], &[], false);
    assert_eq!(CertificateIdentity::parse(&bad), Err(CertificateError::Spiffe(SpiffeIdError::Path)));
    let authority = certificate(vec![uri("spiffe://example.org/orders")], &[], true);
    assert_eq!(CertificateIdentity::parse(&authority), Err(CertificateError::Authority));
}

#[test]
fn what_is_cut_or_longer_is_not_read() {
    let der = certificate(vec![dns("a.example")], &[(DnType::CommonName, "a")], false);
    for end in 0..der.len() {
        assert_eq!(CertificateIdentity::parse(&der[..end]), Err(CertificateError::Unreadable), "{end}");
    }
    let mut longer = der.clone();
    longer.push(0);
    assert_eq!(CertificateIdentity::parse(&longer), Err(CertificateError::Unreadable));
    // Any single byte may be anything without a panic.
    for at in 0..der.len() {
        let mut other = der.clone();
        other[at] ^= 0xff;
        let _ = CertificateIdentity::parse(&other);
    }
    // A URI that is no ASCII text.
    let mut params = CertificateParams::default();
    let names = vec![0x30, 0x03, 0x86, 0x01, 0xff];
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    assert_eq!(CertificateIdentity::parse(&der), Err(CertificateError::Unreadable));
    let most = (0..MAX_NAMES).map(|n| dns(&format!("n{n}.example"))).collect();
    assert!(CertificateIdentity::parse(&certificate(most, &[], false)).is_ok());
    let many: Vec<SanType> = (0..=MAX_NAMES).map(|n| dns(&format!("n{n}.example"))).collect();
    assert_eq!(CertificateIdentity::parse(&certificate(many, &[], false)), Err(CertificateError::TooMany));
}
