// What may be written with the types, and, at each "ts-expect-error", what may not.
import { documentIds } from "../../app/portal/src/operations";
import type { Operations, StudyPageResult, StudyPageVariables } from "../../app/portal/src/operations";

declare function run<Name extends keyof Operations>(
  id: (typeof documentIds)[Name],
  variables: Operations[Name]["variables"],
): Promise<Operations[Name]["result"]>;

export const everything: StudyPageVariables = {};
export const narrowed: StudyPageVariables = { modality: ["CT"], sort: ["STARTED"], started: null };
// @ts-expect-error
export const sorted: StudyPageVariables = { sort: ["NOTHING"] };
// @ts-expect-error
export const deletion: Operations["DeleteStudy"]["variables"] = { study: "1.2" };

export function titles(page: StudyPageResult): Array<string> {
  return (page.studies?.edges ?? []).map((edge) => edge.node.description ?? edge.node.id);
}
// @ts-expect-error
export const count = (page: StudyPageResult): number => page.studies.totalCount;

export async function remove(study: string): Promise<string | undefined> {
  const result = await run<"DeleteStudy">(documentIds.DeleteStudy, { study, reason: "Wrong" });
  const [failed] = result.deleteStudy?.errors ?? [];
  return failed?.__typename === "ConflictError" ? failed.message : undefined;
}
