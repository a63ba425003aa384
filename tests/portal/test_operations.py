"""Every operation of the portal does what it is there for, at the door that it is sent to."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from tests.portal import access, records
from tests.portal.asking import TEXTS, Portal

CASES: Mapping[str, Callable[[Portal], Awaitable[None]]] = {
    "AcceptShare": access.accept_share,
    "AddToCareTeam": access.add_to_care_team,
    "Annotate": records.annotate,
    "Annotations": records.annotations,
    "BreakGlass": access.break_glass,
    "CheckPolicy": access.check_policy,
    "CreateUpload": access.create_upload,
    "DeleteStudy": records.delete_study,
    "DeletedStudies": records.deleted_studies,
    "EndSession": access.end_session,
    "ExplainAccess": access.explain_access,
    "HoldStudy": records.hold_study,
    "JobProgress": access.job_progress,
    "Jobs": access.jobs,
    "LabelStudy": records.label_study,
    "PatientSearch": records.patient_search,
    "PolicyNow": access.policy_now,
    "ReleaseStudy": records.release_study,
    "RestoreStudy": records.restore_study,
    "RevokeShare": access.revoke_share,
    "SaveView": access.save_view,
    "SavedViews": access.saved_views,
    "Sessions": access.sessions,
    "ShareStudy": access.share_study,
    "StudyChanged": records.study_changed,
    "StudyPage": records.study_page,
    "StudyTree": records.study_tree,
}


def test_every_file_has_a_case() -> None:
    assert sorted(CASES) == sorted(TEXTS)


@pytest.mark.parametrize("name", sorted(CASES))
async def test_an_operation_gives_what_it_asks_for(portal: Portal, name: str) -> None:
    await CASES[name](portal)
