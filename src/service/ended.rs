//! The end of a transfer: what arrived, and what it means for the unit.

use super::tickets::{Open, Transfer};
use super::{Service, TRIES, Trouble};
use crate::answer::{Delivery, Ticket};
use crate::engine::outcome;
use crate::engine::verdict::AlertDraft;
use crate::engine::window;
use crate::model::activation::{Check, CheckKind, Outcome};
use crate::model::device::{Device, Status};
use crate::model::event::AlertKind;
use crate::model::identity::Digest;
use crate::store::{StoreError, Write};

impl Service {
    /// The end of a transfer: a check, and what it means for the unit.
    pub(super) async fn end_of_transfer(&self, ticket: &Ticket, how: Delivery, bytes: u64) {
        let Some(open) = self.0.tickets.end(ticket) else {
            return;
        };
        for _ in 0..TRIES {
            let ended = match &open {
                Open::File(transfer) => self.try_end(transfer, how, bytes).await,
                Open::Pointer(told) => self.pointer_ended(told, how).await,
            };
            match ended {
                Ok(()) => return,
                Err(Trouble::Again) => {}
                Err(Trouble::Store(error)) => {
                    tracing::error!(%error, "the end of a transfer is not recorded");
                    return;
                }
            }
        }
    }

    async fn try_end(&self, transfer: &Transfer, how: Delivery, bytes: u64) -> Result<(), Trouble> {
        let hub = &self.0.hub;
        let now = hub.now();
        let Some(device) = hub.store.device(transfer.device).await? else {
            return Ok(());
        };
        let sent = &transfer.sent;
        let outcome = match how {
            Delivery::Whole | Delivery::Unchanged if sent.partial => Outcome::Partial,
            Delivery::Whole | Delivery::Unchanged => Outcome::Pass,
            Delivery::Part => Outcome::Partial,
            Delivery::Broken | Delivery::Unanswered => Outcome::Fail,
        };
        let mut status = device.status_copy();
        let version = status.version;
        let whole = matches!(how, Delivery::Whole | Delivery::Unchanged);
        let mut moved =
            whole && outcome::delivered(&device, &mut status, &transfer.family, sent, false, now);
        if how == Delivery::Unanswered && transfer.counted && status.generation == sent.generation {
            let (window, boots) = (&mut status.window, &status.boots);
            moved = window::uncount(window, boots, sent.boot, &sent.artefact);
        }
        let bound = device.status_now().ratchet.certificate;
        let fresh = status.ratchet.certificate.filter(|_| bound.is_none());
        let check = Check {
            seq: 0,
            at: now,
            device: device.id,
            boot: sent.boot,
            channel: transfer.channel,
            kind: CheckKind::Delivery,
            outcome,
            path: Some(transfer.path.clone()),
            assurance: sent.level,
            level_by: transfer.by,
            revision: Some(sent.revision),
            digest: Some(sent.digest),
            bytes: Some(bytes),
            ip: transfer.ip,
            reason: delivery_code(how).to_owned(),
            text: delivery_text(how, &sent.artefact),
        };
        let Some(fingerprint) = fresh else {
            let status = moved.then_some((status, version));
            return self.put(&device, status, check).await;
        };
        self.bind(&device, (status, version), fingerprint, check)
            .await
    }

    /// Binds a certificate to the unit's record. It is one record's: where another has it already,
    /// this one stays at L3, and is told.
    async fn bind(
        &self,
        device: &Device,
        (mut status, version): (Status, u64),
        fingerprint: Digest,
        check: Check,
    ) -> Result<(), Trouble> {
        let pin = vec![Write::PinCertificate {
            device: device.id,
            fingerprint,
        }];
        let bound = Some((status.clone(), version));
        let holder = match self.put_with(device, bound, check.clone(), pin).await {
            Err(Trouble::Store(StoreError::Taken { holder, .. })) => holder,
            done => return done,
        };
        status.ratchet.certificate = None;
        let draft = AlertDraft {
            kind: AlertKind::CertMacMismatch,
            device: device.id,
            places: check.ip.map(|ip| ip.to_string()).into_iter().collect(),
            text: format!("its certificate {fingerprint} is bound to the record {holder}"),
        };
        let (mut writes, mut news) = (Vec::new(), Vec::new());
        let now = check.at;
        let raised = self.alerts(&[draft], now, &mut writes, &mut news);
        self.put_with(device, Some((status, version)), check, writes)
            .await?;
        self.0.alarms.settle(&raised, now);
        for item in news {
            self.0.hub.tell(item);
        }
        Ok(())
    }
}

fn delivery_code(how: Delivery) -> &'static str {
    match how {
        Delivery::Whole => "whole",
        Delivery::Unchanged => "unchanged",
        Delivery::Part => "part",
        Delivery::Broken => "broken-off",
        Delivery::Unanswered => "unanswered",
    }
}

fn delivery_text(how: Delivery, artefact: &str) -> String {
    match how {
        Delivery::Whole => format!("{artefact}: arrived"),
        Delivery::Unchanged => format!("{artefact}: it has it already"),
        Delivery::Part => format!("{artefact}: a part of it, or its head alone"),
        Delivery::Broken => format!("{artefact}: the transfer broke off"),
        Delivery::Unanswered => format!("{artefact}: nobody took it; the request may be forged"),
    }
}
