// Written by `python -m app types` from operations/*.graphql; edit those.

export type ChangeKind = "CREATED" | "CHANGED" | "DELETED";

export type Confidentiality = "U" | "N" | "R" | "V";

export type DateRange = {
  from?: string | null;
  to?: string | null;
};

export type DateSort = "ID" | "ID_DESC" | "DATE" | "DATE_DESC";

export type DateTimeRange = {
  from?: string | null;
  to?: string | null;
};

export type FindingInput = {
  system: string;
  code: string;
  display: string;
};

export type GraphicInput = {
  type: GraphicType;
  points: Array<number>;
};

export type GraphicType = "POINT" | "MULTIPOINT" | "POLYLINE" | "CIRCLE" | "ELLIPSE";

export type MeasurementInput = {
  value: number;
  unit: string;
};

export type PatientSort = "ID" | "ID_DESC" | "LAST_UPDATED" | "LAST_UPDATED_DESC" | "BIRTH_DATE" | "BIRTH_DATE_DESC" | "NAME" | "NAME_DESC";

export type PolicyFileInput = {
  name: string;
  text: string;
};

export type ScopeVariableInput = {
  name: string;
  values: Array<string>;
};

export type ShareAccess = "VIEW" | "DOWNLOAD";

export type StudySort = "ID" | "ID_DESC" | "LAST_UPDATED" | "LAST_UPDATED_DESC" | "PATIENT" | "PATIENT_DESC" | "PATIENT_NAME" | "PATIENT_NAME_DESC" | "MODALITY" | "MODALITY_DESC" | "STATUS" | "STATUS_DESC" | "STARTED" | "STARTED_DESC";

export type ViewKind = "studies" | "patients";

export type AcceptShareVariables = {
  token: string;
  idempotencyKey?: string | null;
};

export type AcceptShareResult = {
  acceptShare: {
    record: {
      id: string;
      study: string | null;
      access: string | null;
      period: {
        end: string | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type AddToCareTeamVariables = {
  patient: string;
  agent: string;
  until?: string | null;
  reason?: string | null;
  idempotencyKey?: string | null;
};

export type AddToCareTeamResult = {
  addToCareTeam: {
    record: {
      id: string;
      agent: string | null;
      patient: {
        reference: string | null;
      } | null;
      period: {
        start: string | null;
        end: string | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type AnnotateVariables = {
  study: string;
  image?: string | null;
  frame?: number | null;
  text: string;
  code?: FindingInput | null;
  graphic?: GraphicInput | null;
  measurement?: MeasurementInput | null;
  idempotencyKey?: string | null;
};

export type AnnotateResult = {
  annotate: {
    record: {
      id: string;
      meta: {
        versionId: string | null;
      } | null;
      image: string | null;
      frame: number | null;
      author: string | null;
      note: {
        text: string | null;
      } | null;
      code: {
        coding: Array<{
          system: string | null;
          code: string | null;
          display: string | null;
        }> | null;
      } | null;
      graphic: {
        type: string | null;
        points: Array<number> | null;
      } | null;
      measurement: {
        value: number | null;
        unit: string | null;
      } | null;
      status: string | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type AnnotationsVariables = {
  study?: Array<string> | null;
  image?: Array<string> | null;
  status?: Array<string> | null;
  first?: number | null;
  after?: string | null;
};

export type AnnotationsResult = {
  annotations: {
    totalCount: number | null;
    edges: Array<{
      node: {
        id: string;
        meta: {
          versionId: string | null;
        } | null;
        study: string | null;
        image: string | null;
        frame: number | null;
        author: string | null;
        recorded: string | null;
        note: {
          text: string | null;
        } | null;
        graphic: {
          type: string | null;
          points: Array<number> | null;
        } | null;
        measurement: {
          value: number | null;
          unit: string | null;
        } | null;
      };
    }>;
    pageInfo: {
      hasNextPage: boolean;
      endCursor: string | null;
    };
  } | null;
};

export type BreakGlassVariables = {
  patient: string;
  reason: string;
  minutes: number;
  idempotencyKey?: string | null;
};

export type BreakGlassResult = {
  breakGlass: {
    record: {
      id: string;
      agent: string | null;
      patient: {
        reference: string | null;
      } | null;
      reason: string | null;
      period: {
        start: string | null;
        end: string | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type CheckPolicyVariables = {
  files: Array<PolicyFileInput>;
};

export type CheckPolicyResult = {
  checkPolicy: {
    ok: boolean | null;
    problems: Array<{
      file: string | null;
      line: number | null;
      column: number | null;
      message: string | null;
      severity: string | null;
    }> | null;
    changes: Array<string> | null;
  } | null;
};

export type CreateUploadVariables = {
  patient?: string | null;
  study?: string | null;
  files: number;
  bytes: number;
  idempotencyKey?: string | null;
};

export type CreateUploadResult = {
  createUpload: {
    url: string | null;
    record: {
      id: string;
      status: string | null;
      expires: string | null;
      maxFiles: number | null;
      maxBytes: number | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type DeleteStudyVariables = {
  study: string;
  reason: string;
  idempotencyKey?: string | null;
};

export type DeleteStudyResult = {
  deleteStudy: {
    record: {
      id: string;
      recorded: string | null;
      reason: string | null;
      until: string | null;
      numberOfInstances: number | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type DeletedStudiesVariables = {
  study?: Array<string> | null;
  recorded?: DateTimeRange | null;
  sort?: Array<DateSort> | null;
  first?: number | null;
  after?: string | null;
};

export type DeletedStudiesResult = {
  deletedStudies: {
    totalCount: number | null;
    edges: Array<{
      node: {
        id: string;
        recorded: string | null;
        recorder: string | null;
        reason: string | null;
        until: string | null;
        numberOfInstances: number | null;
      };
    }>;
    pageInfo: {
      hasNextPage: boolean;
      endCursor: string | null;
    };
  } | null;
};

export type EndSessionVariables = {
  id: string;
  idempotencyKey?: string | null;
};

export type EndSessionResult = {
  endSession: {
    record: {
      id: string;
      ended: {
        at: string | null;
        by: string | null;
        why: string | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type ExplainAccessVariables = {
  roles: Array<string>;
  element: string;
  action: string;
  study?: string | null;
  variables?: Array<ScopeVariableInput> | null;
};

export type ExplainAccessResult = {
  explainAccess: {
    version: string | null;
    element: string | null;
    action: string | null;
    verdict: string | null;
    open: boolean | null;
    always: boolean | null;
    never: boolean | null;
    unknown: Array<string> | null;
    parts: Array<{
      element: string | null;
      verdict: string | null;
      lines: Array<{
        place: string | null;
        text: string | null;
        effect: string | null;
        scope: string | null;
        counts: boolean | null;
      }> | null;
    }> | null;
    scopes: Array<{
      name: string | null;
      description: string | null;
      holds: boolean | null;
      searches: Array<{
        resource: string | null;
        search: string | null;
      }> | null;
    }> | null;
  } | null;
};

export type HoldStudyVariables = {
  study: string;
  reason: string;
  idempotencyKey?: string | null;
};

export type HoldStudyResult = {
  holdStudy: {
    record: {
      id: string;
      study: string | null;
      reason: string | null;
      recorder: string | null;
      period: {
        start: string | null;
        end: string | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type JobProgressVariables = {
  after?: number | null;
  until?: number | null;
  id?: string | null;
};

export type JobProgressResult = {
  jobProgress: {
    sequence: number | null;
    id: string | null;
    at: string | null;
    job: {
      status: string | null;
      total: number | null;
      done: number | null;
      refused: number | null;
      bytes: number | null;
    } | null;
  } | null;
};

export type JobsVariables = {
  status?: Array<string> | null;
  sort?: Array<DateSort> | null;
  first?: number | null;
  after?: string | null;
};

export type JobsResult = {
  jobs: {
    totalCount: number | null;
    edges: Array<{
      node: {
        id: string;
        kind: string | null;
        recorded: string | null;
        expires: string | null;
        status: string | null;
        total: number | null;
        done: number | null;
        refused: number | null;
        bytes: number | null;
        problems: Array<{
          reason: string | null;
          count: number | null;
        }> | null;
      };
    }>;
    pageInfo: {
      hasNextPage: boolean;
      endCursor: string | null;
    };
  } | null;
};

export type LabelStudyVariables = {
  study: string;
  confidentiality: Confidentiality;
  idempotencyKey?: string | null;
};

export type LabelStudyResult = {
  labelStudy: {
    record: {
      id: string;
      meta: {
        versionId: string | null;
        security: Array<{
          system: string | null;
          code: string | null;
        }> | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type PatientSearchVariables = {
  text?: string | null;
  birthDate?: DateRange | null;
  sort?: Array<PatientSort> | null;
  first?: number | null;
  after?: string | null;
};

export type PatientSearchResult = {
  patients: {
    totalCount: number | null;
    edges: Array<{
      node: {
        id: string;
        identifier: Array<{
          system: string | null;
          value: string | null;
        }> | null;
        name: Array<{
          family: string | null;
          given: Array<string> | null;
        }> | null;
        birthDate: string | null;
        gender: string | null;
      };
    }>;
    pageInfo: {
      hasNextPage: boolean;
      endCursor: string | null;
    };
  } | null;
};

export type PolicyNowVariables = {
  versions?: number;
  text?: boolean;
};

export type PolicyNowResult = {
  policy: {
    id: string;
    edition: string | null;
    ok: boolean | null;
    loaded: string | null;
    problems: Array<{
      file: string | null;
      line: number | null;
      column: number | null;
      message: string | null;
      severity: string | null;
    }> | null;
    text?: Array<{
      name: string | null;
      text: string | null;
    }> | null;
    history: Array<{
      edition: string | null;
      version: string | null;
      at: string | null;
      by: string | null;
      note: string | null;
    }> | null;
  } | null;
};

export type ReleaseStudyVariables = {
  study: string;
  idempotencyKey?: string | null;
};

export type ReleaseStudyResult = {
  releaseStudy: {
    record: {
      id: string;
      meta: {
        versionId: string | null;
        tag: Array<{
          system: string | null;
          code: string | null;
        }> | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type RestoreStudyVariables = {
  study: string;
  idempotencyKey?: string | null;
};

export type RestoreStudyResult = {
  restoreStudy: {
    record: {
      id: string;
      status: string | null;
      numberOfInstances: number | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type RevokeShareVariables = {
  id: string;
  idempotencyKey?: string | null;
};

export type RevokeShareResult = {
  revokeShare: {
    record: {
      id: string;
      revoked: {
        at: string | null;
        by: string | null;
      } | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type SaveViewVariables = {
  id?: string | null;
  name: string;
  kind: ViewKind;
  query: string;
  sort?: Array<string> | null;
  idempotencyKey?: string | null;
};

export type SaveViewResult = {
  saveView: {
    record: {
      id: string;
      name: string | null;
      kind: string | null;
      query: string | null;
      sort: Array<string> | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type SavedViewsVariables = {
  kind?: Array<string> | null;
  first?: number | null;
  after?: string | null;
};

export type SavedViewsResult = {
  savedViews: {
    totalCount: number | null;
    edges: Array<{
      node: {
        id: string;
        name: string | null;
        kind: string | null;
        query: string | null;
        sort: Array<string> | null;
        recorded: string | null;
      };
    }>;
    pageInfo: {
      hasNextPage: boolean;
      endCursor: string | null;
    };
  } | null;
};

export type SessionsVariables = {
  agent?: Array<string> | null;
  ended?: boolean | null;
  first?: number | null;
  after?: string | null;
};

export type SessionsResult = {
  sessions: {
    totalCount: number | null;
    edges: Array<{
      node: {
        id: string;
        agent: string | null;
        name: string | null;
        roles: Array<string> | null;
        started: string | null;
        seen: string | null;
        expires: string | null;
      };
    }>;
    pageInfo: {
      hasNextPage: boolean;
      endCursor: string | null;
    };
  } | null;
};

export type ShareStudyVariables = {
  study: string;
  access: ShareAccess;
  until: string;
  maxUses: number;
  reason?: string | null;
  idempotencyKey?: string | null;
};

export type ShareStudyResult = {
  shareStudy: {
    token: string | null;
    record: {
      id: string;
      study: string | null;
      access: string | null;
      period: {
        start: string | null;
        end: string | null;
      } | null;
      maxUses: number | null;
      uses: number | null;
    } | null;
    errors: Array<{
      __typename: "ConflictError" | "FailedError" | "ForbiddenError" | "InvalidError" | "LimitError" | "NotFoundError" | "NotRunError" | "PolicyRefusedError" | "UnavailableError";
      code: string;
      message: string;
      done: boolean;
    }>;
  } | null;
};

export type StudyChangedVariables = {
  after?: number | null;
  until?: number | null;
  patient?: string | null;
  study?: string | null;
};

export type StudyChangedResult = {
  studyChanged: {
    sequence: number | null;
    kind: ChangeKind | null;
    id: string | null;
    at: string | null;
    study: {
      id: string;
      status: string | null;
      description: string | null;
      numberOfInstances: number | null;
    } | null;
  } | null;
};

export type StudyPageVariables = {
  text?: string | null;
  modality?: Array<string> | null;
  started?: DateTimeRange | null;
  sort?: Array<StudySort> | null;
  first?: number | null;
  after?: string | null;
};

export type StudyPageResult = {
  studies: {
    totalCount: number | null;
    edges: Array<{
      cursor: string;
      node: {
        id: string;
        status: string | null;
        started: string | null;
        description: string | null;
        modality: Array<{
          code: string | null;
          display: string | null;
        }> | null;
        subject: {
          reference: string | null;
          display: string | null;
        } | null;
        numberOfSeries: number | null;
        numberOfInstances: number | null;
      };
    }>;
    pageInfo: {
      hasNextPage: boolean;
      endCursor: string | null;
    };
  } | null;
  studyFacets: {
    total: number;
    modality: Array<{
      value: string | null;
      display: string | null;
      count: number | null;
    }> | null;
    day: Array<{
      value: string | null;
      display: string | null;
      count: number | null;
    }> | null;
  } | null;
};

export type StudyTreeVariables = {
  uid: string;
  instances?: number | null;
  instanceOffset?: number;
  frames?: number | null;
  frameOffset?: number;
};

export type StudyTreeResult = {
  study: {
    id: string;
    started: string | null;
    description: string | null;
    patient: {
      id: string;
      name: Array<{
        family: string | null;
        given: Array<string> | null;
      }> | null;
      birthDate: string | null;
      gender: string | null;
    } | null;
    series: Array<{
      uid: string | null;
      number: number | null;
      description: string | null;
      modality: {
        code: string | null;
      } | null;
      numberOfInstances: number | null;
      instance: Array<{
        uid: string | null;
        number: number | null;
        sopClass: {
          code: string | null;
        } | null;
        image: {
          id: string;
          rows: number | null;
          columns: number | null;
          numberOfFrames: number | null;
          windowCenter: Array<number> | null;
          windowWidth: Array<number> | null;
          rendered: string | null;
          thumbnail: string | null;
          frames: Array<{
            number: number | null;
            url: string | null;
          }> | null;
        } | null;
      }> | null;
    }> | null;
  } | null;
};

export type Operations = {
  AcceptShare: { variables: AcceptShareVariables; result: AcceptShareResult };
  AddToCareTeam: { variables: AddToCareTeamVariables; result: AddToCareTeamResult };
  Annotate: { variables: AnnotateVariables; result: AnnotateResult };
  Annotations: { variables: AnnotationsVariables; result: AnnotationsResult };
  BreakGlass: { variables: BreakGlassVariables; result: BreakGlassResult };
  CheckPolicy: { variables: CheckPolicyVariables; result: CheckPolicyResult };
  CreateUpload: { variables: CreateUploadVariables; result: CreateUploadResult };
  DeleteStudy: { variables: DeleteStudyVariables; result: DeleteStudyResult };
  DeletedStudies: { variables: DeletedStudiesVariables; result: DeletedStudiesResult };
  EndSession: { variables: EndSessionVariables; result: EndSessionResult };
  ExplainAccess: { variables: ExplainAccessVariables; result: ExplainAccessResult };
  HoldStudy: { variables: HoldStudyVariables; result: HoldStudyResult };
  JobProgress: { variables: JobProgressVariables; result: JobProgressResult };
  Jobs: { variables: JobsVariables; result: JobsResult };
  LabelStudy: { variables: LabelStudyVariables; result: LabelStudyResult };
  PatientSearch: { variables: PatientSearchVariables; result: PatientSearchResult };
  PolicyNow: { variables: PolicyNowVariables; result: PolicyNowResult };
  ReleaseStudy: { variables: ReleaseStudyVariables; result: ReleaseStudyResult };
  RestoreStudy: { variables: RestoreStudyVariables; result: RestoreStudyResult };
  RevokeShare: { variables: RevokeShareVariables; result: RevokeShareResult };
  SaveView: { variables: SaveViewVariables; result: SaveViewResult };
  SavedViews: { variables: SavedViewsVariables; result: SavedViewsResult };
  Sessions: { variables: SessionsVariables; result: SessionsResult };
  ShareStudy: { variables: ShareStudyVariables; result: ShareStudyResult };
  StudyChanged: { variables: StudyChangedVariables; result: StudyChangedResult };
  StudyPage: { variables: StudyPageVariables; result: StudyPageResult };
  StudyTree: { variables: StudyTreeVariables; result: StudyTreeResult };
};

export const documentIds = {
  AcceptShare: "1838f4d15cca5b5ed9f0134876595346c4098c8327b84ed08f7734c2ed95749c",
  AddToCareTeam: "2f3383fd28469e03a31d998f08a39e18bf258dfbadaff445525e3dc6f07b259e",
  Annotate: "d443ed52b9ccc3626ab8a6b3d1b94497af7b8966818bf18207f04ca002e506f5",
  Annotations: "9a4a3e3a02f77d4d162bc017eed8a204dffa964920f4b392d4361791e8a57d0f",
  BreakGlass: "37eb9a3a87b5a0ee7fc2df2c9061119155e9d67b2269a4c78b388b05c613398e",
  CheckPolicy: "4c58fd5c86176b638c1246f7e0283b4fcc9dbbea69b63c1a0e16586a3a0c7a99",
  CreateUpload: "63cef0151bf1fc18b092ebd0573298f1ee3928a903660d817238b9fe0e72b795",
  DeleteStudy: "3f26d04351540b6dac83cd238fc8bf927c17e33d7c64b133f504e57b94b63820",
  DeletedStudies: "9c9835dbb525f1a9ef0f136a4e16c342776456e4a35069f9f5f11b0dc41d8b39",
  EndSession: "fbe07cc481970f9190eabb55863eec236b552e1f567470f578ba19d9ab680e40",
  ExplainAccess: "351cce7cdbe5098eebc7ea3e773770e18f1e70b96d719388b496a1c12b5dc68d",
  HoldStudy: "699d313698355d4367e7f4d6b1bd90eeee0ca2164f1d65f94ab2a041b7fb8da5",
  JobProgress: "1bc8a55960291cfb7ebd7888f0eb47829ad93516ad199f93c4ce7a3c593257d8",
  Jobs: "301c86c3aec4b4b128e835095635664e5c9308ad804d08aa2c82fad6c787ecfb",
  LabelStudy: "a091782183937b35057e46c9db8254bffaba0fc8d25203fb3c44273b75d1dd6b",
  PatientSearch: "0f2edf38c8504877e777b5e8f4f4906f40b8475e34f73c7576787523e4b7f865",
  PolicyNow: "a447df5b725812e88492c30a134f7d2c3565df896c7fb92ae36ffd4cd3593717",
  ReleaseStudy: "98499cafbfff6228a4806a88298b0a2e8f538d6fd58db64b978de4ce68c0fb79",
  RestoreStudy: "fddb21b1bde178b745cea858c974bbf732e6d7e2059210894fe4cd801eb045a1",
  RevokeShare: "3e199473dbe10a3e8da4a948259bc8d2014eed73d4733cc577db4fbb7e728eec",
  SaveView: "156458b384589f3a3da466ef7c853575c368290f1c170405b94a3ec538322d2d",
  SavedViews: "eab611b44047b1217ee59a531c970517067a4fc27d1ad15ee7c8139ba400da69",
  Sessions: "2ec22b2ab2a85264dbc32a10364c6725dbb2578b121f3b8f54f3ccaf8908b712",
  ShareStudy: "6e9f35464331999e1a3d62892a9200154ac819d33edecbc96793b2ecf1542b02",
  StudyChanged: "2bcd21305ec1562630f6d11361c178b765cc3bd0386f6205f551be6222b17351",
  StudyPage: "cf5e73ee060c42d6b73063dfdcfd2699d21110d09648213e4fd070e62b1fbe42",
  StudyTree: "d7cfd2ae47b10e0f9f0d1acf1647b681d729935c1963cdee6e046175b6c24ee1",
} as const;
