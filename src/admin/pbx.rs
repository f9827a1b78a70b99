//! Call servers that units register at.

use super::device::Select;
use super::device_fields::{Spell, check_text, unknown_site};
use super::{Actor, Admin, Ask, Code, FieldError, Problem};
use crate::config::values;
use crate::model::site::Pbx;
use crate::store::{Batch, Write};

impl Admin {
    /// Every call server, by name.
    pub fn pbxs(&self) -> Result<Vec<Pbx>, Problem> {
        let settings = self.hub().store.settings()?;
        Ok(settings.pbxs.values().cloned().collect())
    }

    /// Enters a call server, or puts another in its place.
    pub async fn put_pbx(&self, actor: &Actor, pbx: Pbx, ask: &Ask) -> Result<Pbx, Problem> {
        let lens = self.lens().await?;
        let mut errors = Vec::new();
        if let Err(why) = values::name(&pbx.name) {
            errors.push(FieldError::new("name", Code::ValueInvalid, why));
        }
        let hosts = [
            ("sip_server", Some(&pbx.sip_server)),
            ("backup", pbx.backup.as_ref()),
            ("outbound_proxy", pbx.outbound_proxy.as_ref()),
        ];
        for (field, host) in hosts {
            if let Some(Err(why)) = host.map(|host| check_text(host, Spell::Word)) {
                errors.push(FieldError::new(field, Code::ValueInvalid, why));
            }
        }
        if let Some(word) = &pbx.transport
            && !matches!(word.as_str(), "udp" | "tcp" | "tls")
        {
            let what = format!("{word:?} is neither udp, tcp nor tls");
            errors.push(FieldError::new("transport", Code::ValueInvalid, what));
        }
        errors.extend(
            pbx.sites
                .iter()
                .filter_map(|site| unknown_site(&lens, site)),
        );
        Problem::unless_clean(errors)?;
        self.pbx_as_written(&pbx)?;
        if ask.dry_run || lens.settings.pbxs.get(&pbx.name) == Some(&pbx) {
            return Ok(pbx);
        }
        let writes = vec![
            Write::PutPbx(pbx.clone()),
            self.audit(
                actor,
                "pbx.set",
                format!("pbx {}", pbx.name),
                &pbx.sip_server,
            ),
        ];
        self.hub().store.commit(Batch::now(writes)).await?;
        Ok(pbx)
    }

    /// Takes a call server away; only where no line names it.
    pub async fn remove_pbx(&self, actor: &Actor, name: &str, ask: &Ask) -> Result<Pbx, Problem> {
        let settings = self.hub().store.settings()?;
        let pbx = settings.pbxs.get(name);
        let pbx = pbx
            .ok_or_else(|| Problem::not_found("call server", name))?
            .clone();
        self.pbx_not_written(name)?;
        let mut users = 0_u64;
        self.each_row(&Select::default(), |device| {
            let mut lines = device.config.lines.iter();
            users += u64::from(lines.any(|line| line.pbx.as_deref() == Some(name)));
        })
        .await?;
        if users > 0 {
            let what = format!("lines of {users} devices register at {name}");
            return Err(Problem::new(Code::InUse, what));
        }
        if !ask.dry_run {
            let writes = vec![
                Write::RemovePbx(name.to_owned()),
                self.audit(actor, "pbx.remove", format!("pbx {name}"), ""),
            ];
            self.hub().store.commit(Batch::now(writes)).await?;
        }
        Ok(pbx)
    }
}
