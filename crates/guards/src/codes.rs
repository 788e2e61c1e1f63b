//! Writing codes down beside the guard that raises them.

/// Makes statics of [`portcullis_engine::Code`], and `CODES`, the list of them.
macro_rules! codes {
    ($($ident:ident = $name:literal $status:literal $owasp:ident $cwe:literal $severity:ident
        $title:literal attack $attack:literal client $client:literal operator $operator:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "` (", stringify!($status), "): ", $title, ".")]
            static $ident: portcullis_engine::Code = portcullis_engine::Code {
                name: $name, status: $status, title: $title, attack: $attack, client: $client,
                operator: $operator, owasp: portcullis_engine::Owasp::$owasp, cwe: $cwe,
                severity: portcullis_engine::Severity::$severity,
            };
        )*
        pub(crate) static CODES: &[&portcullis_engine::Code] = &[$(&$ident),*];
    };
}

pub(crate) use codes;
