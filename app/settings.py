"""All configuration, read once; nothing else reads the environment."""

from collections import Counter
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    HttpUrl,
    IPvAnyNetwork,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from policies.rules import Role

DEVELOPMENT_ISSUER = "urn:radiograph:development"
HS256_SECRET_BYTES = 32
PSEUDONYM_KEY_BYTES = 32


def trusted_transport(url: str) -> bool:
    """Say whether an issuer's answers from `url` can be believed: https, or http on loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and loopback(host)))


def loopback(host: str) -> bool:
    """Say whether a host name or address can only be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _seconds(value: object) -> object:
    return float(value) if isinstance(value, str) and value.replace(".", "", 1).isdigit() else value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""Seconds (`30`), or an ISO 8601 duration (`PT30S`)."""


SiteCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""A site as tokens name it and `meta.tag` carries it."""


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    return frozenset(one.strip() for one in value.split(",") if one.strip())


PersistedOnly = Annotated[frozenset[Role | Literal["*"]], BeforeValidator(_listed), NoDecode]
"""Roles with commas between, or `*`."""


AETitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""Application entity title: 1 to 16 printable ASCII characters without backslash (PS3.5 6.2)."""


class DimseCaller(BaseModel):
    """Who calls under one AE title: what a token would say."""

    model_config = {"frozen": True, "extra": "forbid", "hide_input_in_errors": True}

    roles: tuple[Role, ...] = Field(min_length=1)
    subject: str | None = Field(
        None,
        pattern=r"^[^#]{1,255}(#[^#]{1,255})?$",
        description="who, as links and the audit name them, `iss#sub`; absent: the AE title",
    )
    patient: tuple[str, ...] = Field((), description="ids of the Patients that the caller is")
    specialty: tuple[str, ...] = ()
    clearance: str | None = Field(None, description="U, N, R or V")
    site: tuple[SiteCode, ...] = ()
    project: SiteCode | None = Field(None, description="what a de-identified view is for")
    networks: tuple[IPvAnyNetwork, ...] = Field(
        (), description="addresses it may call from; absent: any"
    )
    certificate: str | None = Field(
        None,
        pattern=r"^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$",
        description="SHA-256 fingerprint of the TLS certificate it has to show",
    )


class DimseDestination(BaseModel):
    """Where objects are sent that somebody moves to an AE title."""

    model_config = {"frozen": True, "extra": "forbid"}

    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    tls: bool = False


class Issuer(BaseModel):
    """One OIDC issuer whose tokens are believed."""

    model_config = {"frozen": True, "extra": "forbid", "hide_input_in_errors": True}

    issuer: str = Field(
        description="exact `iss`; discovery is read below it, over https or from loopback"
    )
    audiences: tuple[str, ...] = Field(min_length=1, description="accepted `aud`, any one")
    algorithms: tuple[
        Literal[
            "RS256",
            "RS384",
            "RS512",
            "PS256",
            "PS384",
            "PS512",
            "ES256",
            "ES384",
            "ES512",
            "EdDSA",
        ],
        ...,
    ] = Field(("RS256", "ES256", "EdDSA"), min_length=1)
    role_claims: tuple[str, ...] = Field(
        ("realm_access.roles", "roles", "permissions", "groups"),
        description="claims that hold role names; a dot steps into an object",
    )
    role_map: dict[str, Role | None] | None = Field(
        None,
        description="issuer's role to canonical role or none; absent: the shipped map, "
        "where a provider with the specialty RADIOLOGY is a radiologist",
    )
    patient_claims: tuple[str, ...] = Field(
        ("patient_id", "patient", "fhirUser"), description="claims that hold the Patient's id"
    )
    context_claims: tuple[str, ...] = Field(
        ("patient",), description="claims that hold the Patient of a SMART launch"
    )
    specialty_claims: tuple[str, ...] = ("specialty", "specialties")
    clearance_claims: tuple[str, ...] = Field(
        ("clearance",),
        description="claims that hold U, N, R or V, or public … top-secret; the highest counts",
    )
    site_claims: tuple[str, ...] = ("site", "sites")
    project_claims: tuple[str, ...] = Field(
        ("project", "projects"),
        description="claims that hold the one project a de-identified view is for",
    )
    secret: SecretStr | None = Field(
        None, description="HS256 key of 32 bytes or more; with it HS256 is the only algorithm"
    )

    @field_validator("issuer")
    @classmethod
    def _without_fragment(cls, issuer: str) -> str:
        # A subject is `iss#sub`: with a fragment two issuers could name the same subject.
        if not issuer.isprintable() or any(mark in issuer for mark in " #?"):
            raise ValueError("an issuer has no space, query or fragment")
        return issuer

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < HS256_SECRET_BYTES:
            raise ValueError(f"an HS256 secret has {HS256_SECRET_BYTES} bytes or more")
        return secret


class Settings(BaseSettings):
    """Read once, at start, from `RADIOGRAPH_*` variables and a `.env` file."""

    model_config = SettingsConfigDict(
        env_prefix="RADIOGRAPH_",
        env_file=".env",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # the input may be a secret
    )

    mode: Literal["development", "production"] = Field(
        "development", description="production refuses the embedded database and development tokens"
    )
    host: str = Field("127.0.0.1", description="address to serve on")
    port: int = Field(8000, ge=1, le=65535, description="TCP port to serve on")
    workers: int = Field(
        1, ge=1, le=64, description="processes that serve; best as many as there are cores"
    )
    public_url: HttpUrl | None = Field(
        None, description="what clients call this server; absent: http://HOST:PORT"
    )
    data_dir: Path = Field(Path(".radiograph"), description="embedded database, keys, local files")
    policy_dir: Path = Field(Path("policies"), description="model.conf rules.csv scopes.toml …")

    database_url: SecretStr | None = Field(None, description="mongodb://…; absent: embedded")
    database_name: str = Field("radiograph", description="database within DATABASE_URL")
    storage_url: str | None = Field(
        None, description="file:///path or s3://bucket/prefix; absent: DATA_DIR/objects"
    )
    storage_endpoint: str | None = Field(None, description="URL of an S3-compatible server")
    storage_region: str = Field("us-east-1", description="region of the bucket")
    storage_access_key: SecretStr | None = Field(None, description="absent: the AWS chain")
    storage_secret_key: SecretStr | None = Field(None, description="belongs to the access key")

    issuers: tuple[Issuer, ...] = Field((), description="JSON list of trusted OIDC issuers")
    development_issuer: bool = Field(
        False, description="believe tokens of `python -m app token`; never in production"
    )
    clock_skew: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(0),
        le=timedelta(minutes=5),
        description="how far an issuer's clock may be off, in seconds",
    )
    keys_ttl: Duration = Field(
        timedelta(minutes=10),
        ge=timedelta(0),
        le=timedelta(days=1),
        description="an issuer's keys are read again after this",
    )
    keys_cooldown: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(0),
        le=timedelta(minutes=10),
        description="an unknown key or a failure makes us ask an issuer at most once in this time",
    )

    session_idle: Duration = Field(
        timedelta(minutes=30),
        ge=timedelta(minutes=5),
        le=timedelta(minutes=480),
        description="a session that is not used for so long is ended, in seconds",
    )
    break_glass_minutes: int = Field(
        60, ge=5, le=240, description="how long emergency access can be opened for at once"
    )
    share_days: int = Field(
        90, ge=1, le=3650, description="how far off the end of a share can be, in days"
    )
    signed_url_longest: Duration = Field(
        timedelta(minutes=15),
        ge=timedelta(seconds=1),
        le=timedelta(days=7),
        description="how long a presigned URL holds at most, in seconds, whatever is asked for",
    )
    signed_url_by_storage: bool = Field(
        False,
        description="a presigned URL leads to the S3 storage where it holds exactly the bytes that "
        "may leave, and cannot be called back; false: here, where policy and session are asked "
        "again",
    )
    download_images: int = Field(
        20_000, ge=1, le=100_000, description="images of one batch download at most"
    )
    upload_hours: int = Field(
        24, ge=1, le=168, description="how long there is time for an upload that is announced"
    )
    alert_url: str | None = Field(
        None,
        description="told of every emergency access by POST, {kind, id, at}; https, or loopback",
    )
    sessions_per_user: int = Field(
        5, ge=1, le=50, description="another sign-in ends the session not used for longest"
    )

    time_zone: str | None = Field(
        None, description="IANA zone of times without offset; absent: only their date is used"
    )
    pad_times: bool = Field(
        False, description="take a time to the hour or minute as its first second"
    )
    patient_id_system: str | None = Field(
        None, description="URI of PatientIDs that name no issuer; absent: no system"
    )
    issuer_systems: dict[str, str] = Field(
        {}, description="JSON: IssuerOfPatientID or accession issuer to its URI"
    )
    sites: dict[str, SiteCode] = Field(
        {}, description="JSON: InstitutionName to the code of the site that policies know"
    )
    site: SiteCode | None = Field(
        None, description="code of the site where no known InstitutionName is given"
    )
    release_on_ingest: bool = Field(
        True, description="patients see their studies at once; false: once someone releases them"
    )

    restore_window: Duration = Field(
        timedelta(days=7),
        ge=timedelta(0),
        le=timedelta(days=90),
        description="a deleted study can be restored for so long, in seconds, and is removed for "
        "good then; 0: at once",
    )

    pseudonym_key: SecretStr | None = Field(
        None,
        description="secret of 32 bytes or more behind all pseudonyms; absent: made once, and kept "
        "in DATA_DIR, so several machines need it here",
    )
    date_shift_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="the de-identified view shows dates, each patient's moved by up to so many "
        "days; absent: it shows none",
    )

    graphql_cost_per_minute: int = Field(
        500_000,
        ge=1000,
        description="objects that one caller may ask GraphQL for in a minute; each of the WORKERS "
        "of a machine gives its equal share, to the connections that it serves",
    )
    graphql_concurrent: int = Field(
        4, ge=1, le=1000, description="GraphQL operations of one caller at once, in each worker"
    )
    graphql_timeout: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=300),
        description="a GraphQL query that takes longer is ended, in seconds; mutations never are",
    )
    graphql_operations: Path | None = Field(
        None,
        description="JSON file of trusted GraphQL documents, {SHA-256 in hex: text}; read at start",
    )
    graphql_persisted_only: PersistedOnly = Field(
        frozenset(),
        description="roles with commas between, or *: whose token names one of them sends "
        "documents of GRAPHQL_OPERATIONS and nothing else",
    )

    max_upload_bytes: int = Field(4 * 2**30, gt=0, description="one DICOM object")
    max_request_bytes: int = Field(16 * 2**30, gt=0, description="one upload request")
    request_timeout: Duration = Field(
        timedelta(seconds=30),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=300),
        description="patience with the database and the storage, in seconds",
    )
    render_workers: int = Field(2, ge=1, le=64, description="frames decoded at the same time")

    cache_url: SecretStr = Field(
        SecretStr("memory://"),
        description="none, or tiers with commas between, the fastest first: memory://, "
        "redis://…, file:///folder (file:// is DATA_DIR/cache)",
    )
    cache_ttl: Duration = Field(
        timedelta(seconds=3600),
        ge=timedelta(seconds=60),
        le=timedelta(days=1),
        description="what is cached goes after this, in seconds",
    )
    cache_memory_bytes: int = Field(
        96 * 2**20, ge=2**20, description="of the memory tier, in each process"
    )
    cache_redis_bytes: int = Field(
        2**30, ge=2**20, description="of the Redis tier, all processes together"
    )
    cache_disk_bytes: int = Field(
        10 * 2**30, ge=2**20, description="of the disk tier, all processes of a machine together"
    )
    prefetch: bool = Field(True, description="read ahead, by the rules of PREFETCH_RULES")
    prefetch_rules: Path = Field(
        Path("policies/prefetch.toml"), description="what is read ahead; read at start"
    )
    live_connections: int = Field(
        20,
        ge=1,
        le=1000,
        description="WebSockets and event streams of one caller at once, in each worker",
    )
    live_subscriptions: int = Field(
        20, ge=1, le=1000, description="operations at once over one WebSocket"
    )
    live_patience: Duration = Field(
        timedelta(seconds=10),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=300),
        description="a WebSocket that has not begun, or a listener that has not taken an event, "
        "after so long is closed, in seconds",
    )
    live_check: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=600),
        description="how often tokens and sessions of listeners are looked at while they are told "
        "nothing, in seconds",
    )
    change_days: int = Field(
        30, ge=1, le=3650, description="the sequence of changes goes back so many days"
    )
    webhooks: Path = Field(
        Path("policies/webhooks.toml"), description="who is told of changes; read at start"
    )
    zero_preamble: bool = Field(
        False, description="the 128 bytes before `DICM` leave as zeros, whatever was stored"
    )

    dicom_keys: dict[Literal["study", "series", "instance"], tuple[str, ...]] = Field(
        {},
        description="JSON: level to further attributes to search by, as keyword, tag or dotted "
        "path; `reindex` fills them for what is stored",
    )
    search_limit: int = Field(
        5000,
        ge=1,
        le=50_000,
        description="most rows of one DICOMweb search, and what it gives "
        "where no limit is asked for",
    )

    dimse_host: str = Field("127.0.0.1", description="address that `listen` serves DICOM on")
    dimse_port: int = Field(11112, ge=0, le=65535, description="its TCP port; 0: a free one")
    dimse_aet: AETitle = Field("RADIOGRAPH", description="its AE title, which peers have to name")
    dimse_callers: dict[AETitle, DimseCaller] = Field(
        {}, description="JSON: calling AE title to who that is; nobody else is let in"
    )
    dimse_destinations: dict[AETitle, DimseDestination] = Field(
        {}, description="JSON: AE title to the host and port that objects are moved to"
    )
    dimse_associations: int = Field(16, ge=1, le=256, description="open at the same time")
    dimse_timeout: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(seconds=1),
        le=timedelta(minutes=30),
        description="an association on which nothing happens for so long is aborted, in seconds",
    )
    dimse_certificate: Path | None = Field(
        None, description="PEM file with certificate and chain; with it `listen` speaks TLS alone"
    )
    dimse_key: Path | None = Field(None, description="PEM file with the certificate's private key")
    dimse_ca: Path | None = Field(
        None, description="PEM file of CAs, one of which has to vouch for whoever connects"
    )

    @property
    def cache_on(self) -> bool:
        """Whether anything is cached."""
        return self.cache_url.get_secret_value().strip() not in {"", "none"}

    @property
    def base_url(self) -> str:
        """What clients call this server, without a slash at the end."""
        return str(self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @field_validator("issuers")
    @classmethod
    def _each_once_and_safe_to_ask(cls, issuers: tuple[Issuer, ...]) -> tuple[Issuer, ...]:
        times = Counter(issuer.issuer for issuer in issuers)
        if twice := sorted(issuer for issuer, count in times.items() if count > 1):
            raise ValueError(f"listed more than once: {', '.join(twice)}")
        if DEVELOPMENT_ISSUER in times:
            raise ValueError(f"{DEVELOPMENT_ISSUER} is switched on by DEVELOPMENT_ISSUER")
        for issuer in issuers:
            if issuer.secret is None and not trusted_transport(issuer.issuer):
                raise ValueError(f"neither https nor http on loopback: {issuer.issuer}")
        return issuers

    @field_validator("pseudonym_key")
    @classmethod
    def _key_is_long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value().encode()) < PSEUDONYM_KEY_BYTES:
            raise ValueError(f"a key of pseudonyms has {PSEUDONYM_KEY_BYTES} bytes or more")
        return key

    @field_validator("alert_url")
    @classmethod
    def _nobody_reads_alerts_on_the_way(cls, url: str | None) -> str | None:
        if url is not None and not trusted_transport(url):
            raise ValueError("neither https nor http on loopback")
        return url

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.dimse_certificate is None) != (self.dimse_key is None):
            raise ValueError("DIMSE_CERTIFICATE and DIMSE_KEY go together")
        shown = any(one.certificate for one in self.dimse_callers.values())
        if shown and (self.dimse_certificate is None or self.dimse_ca is None):
            raise ValueError("a caller's certificate needs DIMSE_CERTIFICATE and DIMSE_CA")
        return self

    @model_validator(mode="after")
    def _production_believes_no_development_token(self) -> Self:
        if self.mode == "production" and self.development_issuer:
            raise ValueError("DEVELOPMENT_ISSUER is refused in production")
        return self
