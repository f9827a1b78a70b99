//! Which column says what: built-in synonyms and a person's own mapping.

use std::collections::BTreeMap;

use super::problem::{About, FileProblem, nearest};
use super::sheet::Sheet;

/// What a column means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Group,
    Line(LineField),
    /// `line2_sip_user`: a field of that line.
    LineN(u16, LineField),
    Mac,
    Model,
    Note,
    Profile,
    Serial,
    Site,
    User,
    /// `--map var.NAME=COLUMN`.
    Var(String),
    Vendor,
}

/// What a column says about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineField {
    Auth,
    Display,
    Extension,
    Handset,
    Ipei,
    Label,
    Number,
    Password,
    Port,
    Server,
    User,
}

impl LineField {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Auth, "sip_auth"),
        (Self::Display, "display_name"),
        (Self::Extension, "extension"),
        (Self::Handset, "handset"),
        (Self::Ipei, "ipei"),
        (Self::Label, "label"),
        (Self::Number, "line"),
        (Self::Password, "sip_password"),
        (Self::Port, "port"),
        (Self::Server, "sip_server"),
        (Self::User, "sip_user"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(field, _)| *field == self)
            .map_or("", |(_, name)| name)
    }
}

impl Field {
    /// The name used by `--map FIELD=COLUMN` and in reports.
    pub fn name(&self) -> String {
        match self {
            Self::Group => "group".to_owned(),
            Self::Line(field) => field.name().to_owned(),
            Self::LineN(n, field) => format!("line{n}_{}", field.name()),
            Self::Mac => "mac".to_owned(),
            Self::Model => "model".to_owned(),
            Self::Note => "note".to_owned(),
            Self::Profile => "profile".to_owned(),
            Self::Serial => "serial".to_owned(),
            Self::Site => "site".to_owned(),
            Self::User => "user".to_owned(),
            Self::Var(name) => format!("var.{name}"),
            Self::Vendor => "vendor".to_owned(),
        }
    }

    /// Reads a name that a person typed, or a header.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("var.") {
            return (!name.is_empty()).then(|| Self::Var(name.to_owned()));
        }
        let folded = fold(text);
        if let Some(field) = synonym(&folded) {
            return Some(field);
        }
        // line2_sip_user, Line 2 Display Name, Leitung 2 Passwort
        let rest = ["line", "leitung", "account"]
            .iter()
            .find_map(|word| folded.strip_prefix(word))?;
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        let n: u16 = rest.get(..digits)?.parse().ok().filter(|n| *n > 0)?;
        match synonym(rest.get(digits..)?)? {
            Self::Line(LineField::Number) => None,
            Self::Line(field) => Some(Self::LineN(n, field)),
            Self::User => Some(Self::LineN(n, LineField::User)),
            Self::Group
            | Self::LineN(..)
            | Self::Mac
            | Self::Model
            | Self::Note
            | Self::Profile
            | Self::Serial
            | Self::Site
            | Self::Var(_)
            | Self::Vendor => None,
        }
    }

    /// Whether the cells are secrets: they are shown nowhere.
    pub fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::Line(LineField::Password) | Self::LineN(_, LineField::Password)
        )
    }
}

/// Case, blanks and punctuation do not count.
fn fold(text: &str) -> String {
    text.chars()
        .filter(|ch| ch.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Folded headers that are read without a mapping.
fn synonym(folded: &str) -> Option<Field> {
    use LineField::{
        Auth, Display, Extension, Handset, Ipei, Label, Number, Password, Port, Server, User,
    };
    Some(match folded {
        "mac" | "macaddress" | "macadresse" | "macaddr" | "macid" | "hwaddr"
        | "hardwareaddress" | "hardwareadresse" | "ethernetmac" | "lanmac" | "adressemac"
        | "direccionmac" => Field::Mac,
        "serial" | "sn" | "serialnumber" | "serialno" | "seriennummer" | "serie"
        | "numerodeserie" | "numérodesérie" => Field::Serial,
        "vendor" | "manufacturer" | "brand" | "make" | "maker" | "hersteller" | "marke"
        | "fabricant" => Field::Vendor,
        "model" | "modell" | "devicemodel" | "phonemodel" | "type" | "typ" | "devicetype"
        | "gerätetyp" | "geraetetyp" | "modele" | "modèle" | "modelo" => Field::Model,
        "site" | "location" | "standort" | "branch" | "filiale" | "sitename" => Field::Site,
        "profile" | "profil" | "template" | "vorlage" | "profilename" => Field::Profile,
        "group" | "groups" | "gruppe" | "gruppen" | "devicegroup" | "department" | "abteilung" => {
            Field::Group
        }
        "user" | "username" | "benutzer" | "owner" | "person" | "employee" | "mitarbeiter" => {
            Field::User
        }
        "note" | "notes" | "comment" | "remark" | "bemerkung" | "kommentar" | "notiz" => {
            Field::Note
        }
        "line" | "lineno" | "linenumber" | "leitung" | "account" | "accountno" => {
            Field::Line(Number)
        }
        "port" | "fxsport" | "fxs" => Field::Line(Port),
        "handset" | "handsetno" | "handsetnumber" | "mobilteil" => Field::Line(Handset),
        "ipei" | "ipui" => Field::Line(Ipei),
        "extension" | "ext" | "nebenstelle" | "durchwahl" | "extensionnumber" | "number"
        | "rufnummer" | "phonenumber" | "dn" | "directorynumber" => Field::Line(Extension),
        "sipuser" | "sipusername" | "sipid" | "sipuserid" | "sipbenutzer" | "siplogin" => {
            Field::Line(User)
        }
        "sipauth" | "authuser" | "authname" | "authid" | "sipauthuser" | "sipauthid"
        | "authenticationname" | "authusername" | "auth" => Field::Line(Auth),
        "sippassword" | "password" | "secret" | "sipsecret" | "passwort" | "kennwort"
        | "sippasswort" | "sipkennwort" | "authpassword" | "sippass" => Field::Line(Password),
        "sipserver" | "server" | "registrar" | "pbx" | "domain" | "sipdomain" | "sipregistrar"
        | "proxy" => Field::Line(Server),
        "display" | "displayname" | "anzeigename" | "callerid" | "calleridname" | "name"
        | "fullname" => Field::Line(Display),
        "label" | "linelabel" | "beschriftung" | "keylabel" => Field::Line(Label),
        _ => return None,
    })
}

/// What each column of a sheet means.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// By column; `None` where nothing is read from it.
    pub fields: Vec<Option<Field>>,
}

impl Mapping {
    /// Joins the synonyms with `explicit`: (field, column) as `--map` gave them. Everything that
    /// is wrong with the mapping is told at once.
    pub fn resolve(sheet: &Sheet, explicit: &[(String, String)]) -> Result<Self, Vec<FileProblem>> {
        let mut problems = Vec::new();
        let mut fields: Vec<Option<Field>> = vec![None; sheet.headers.len()];
        let mut taken: BTreeMap<Field, usize> = BTreeMap::new();
        for (name, column) in explicit {
            let Some(field) = Field::parse(name) else {
                problems.push(FileProblem::new(
                    1,
                    format!("\"{name}\" is no field"),
                    "fields are mac, serial, vendor, model, site, profile, group, user, line, extension, sip_user, sip_password, … and var.NAME",
                ).about(About::Mapping));
                continue;
            };
            let found = sheet
                .headers
                .iter()
                .position(|header| header.eq_ignore_ascii_case(column.trim()));
            let found = found.or_else(|| {
                sheet
                    .headers
                    .iter()
                    .position(|header| fold(header) == fold(column))
            });
            let Some(at) = found else {
                let near = nearest(column, sheet.headers.iter().map(String::as_str));
                problems.push(
                    FileProblem::new(
                        1,
                        format!("no column is called \"{column}\""),
                        near.map_or_else(
                            || "see the file's first row".to_owned(),
                            |near| format!("did you mean \"{near}\"?"),
                        ),
                    )
                    .about(About::Mapping),
                );
                continue;
            };
            taken.insert(field.clone(), at);
            if let Some(slot) = fields.get_mut(at) {
                *slot = Some(field);
            }
        }
        for (at, header) in sheet.headers.iter().enumerate() {
            let Some(slot) = fields.get_mut(at).filter(|slot| slot.is_none()) else {
                continue;
            };
            let Some(field) = Field::parse(header).filter(|field| !matches!(field, Field::Var(_)))
            else {
                continue;
            };
            match taken.get(&field) {
                None => {
                    taken.insert(field.clone(), at);
                    *slot = Some(field);
                }
                // A person said which column it is: the other one is left unread.
                Some(_)
                    if explicit
                        .iter()
                        .any(|(name, _)| Field::parse(name).as_ref() == Some(&field)) => {}
                Some(other) => problems.push(FileProblem::new(
                    1,
                    format!(
                        "\"{}\" and \"{header}\" both look like {}",
                        sheet.header(*other),
                        field.name()
                    ),
                    format!("say which: --map {}=COLUMN", field.name()),
                )),
            }
        }
        let identity = [Field::Mac, Field::Serial]
            .iter()
            .any(|field| taken.contains_key(field));
        if problems.is_empty() && !identity {
            let near = sheet.headers.iter().find(|header| {
                let folded = fold(header);
                folded.contains("mac") || folded.contains("serial")
            });
            problems.push(FileProblem::new(
                1,
                "no column holds a MAC or a serial",
                near.map_or_else(
                    || "name it: --map mac=COLUMN".to_owned(),
                    |near| format!("is it this one? --map \"mac={near}\""),
                ),
            ));
        }
        if problems.is_empty() {
            Ok(Self { fields })
        } else {
            Err(problems)
        }
    }

    /// The column of a field.
    pub fn column(&self, field: &Field) -> Option<usize> {
        self.fields
            .iter()
            .position(|mapped| mapped.as_ref() == Some(field))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sheet::Caps;
    use super::*;

    fn resolve(header: &str, explicit: &[(&str, &str)]) -> Result<Vec<String>, Vec<FileProblem>> {
        let sheet = Sheet::read(format!("{header}\nx\n"), Caps::default()).unwrap();
        let explicit: Vec<_> = explicit
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        Mapping::resolve(&sheet, &explicit).map(|mapping| {
            mapping
                .fields
                .iter()
                .map(|field| field.as_ref().map_or_else(|| "-".to_owned(), Field::name))
                .collect()
        })
    }

    #[test]
    fn headers_are_known_without_regard_to_spelling() {
        fn check(header: &str, expect: &[&str]) {
            assert_eq!(resolve(header, &[]).unwrap(), expect, "{header}");
        }
        check(
            "MAC Address,S/N,Vendor,Model",
            &["mac", "serial", "vendor", "model"],
        );
        check(
            "MAC-Adresse;Hersteller;Modell;Standort;Raum",
            &["mac", "vendor", "model", "site", "-"],
        );
        check(
            "mac,extension,display_name,sip_user,sip_password,sip_server",
            &[
                "mac",
                "extension",
                "display_name",
                "sip_user",
                "sip_password",
                "sip_server",
            ],
        );
        check(
            "mac,line,port,handset,ipei,line2_sip_user,Line 2 Password",
            &[
                "mac",
                "line",
                "port",
                "handset",
                "ipei",
                "line2_sip_user",
                "line2_sip_password",
            ],
        );
        check("mac,var.locale", &["mac", "-"]);
    }

    #[test]
    fn a_mapping_beats_the_synonyms_and_names_what_is_wrong() {
        assert_eq!(
            resolve("a,mac,c", &[("mac", "A"), ("var.locale", "c")]).unwrap(),
            ["mac", "-", "var.locale"]
        );
        let problems =
            resolve("mac,Sprache", &[("mak", "mac"), ("var.locale", "Sprach")]).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(problems[1].hint.contains("Sprache"), "{problems:?}");
        assert!(
            resolve("mac,MAC Address", &[]).unwrap_err()[0]
                .what
                .contains("both look like mac")
        );
        assert!(
            resolve("Geraete-MAC (LAN),model", &[]).unwrap_err()[0]
                .hint
                .contains("Geraete-MAC")
        );
    }
}
