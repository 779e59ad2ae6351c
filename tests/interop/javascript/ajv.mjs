// Judges each line of a file, an event, by the schema of its type, and by the bundled one, which stands
// alone: `node ajv.mjs SCHEMAS FILE`. Strict, but for types: a condition need not say again what it is of.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2020.js";
import Ajv7 from "ajv";
import formats from "ajv-formats";

const [folder, file] = process.argv.slice(2);
const options = { strictTypes: false, allErrors: true };
const ajv = formats(new Ajv(options)), alone = formats(new Ajv7(options));
const ids = {};
for (const name of readdirSync(folder).filter((each) => each.endsWith(".schema.json"))) {
  const schema = JSON.parse(readFileSync(join(folder, name), "utf8"));
  ajv.addSchema(schema);
  ids[name.replace(".schema.json", "")] = schema.$id;
}
const files = {
  "PatchAssessor.AssessmentCompleted": "assessment-completed",
  "PatchAssessor.AssessmentFailed": "assessment-failed",
  "PatchAssessor.AssessmentSkipped": "assessment-skipped",
  "PatchAssessor.RequestRejected": "request-rejected",
  "PatchAssessor.ScanCompleted": "scan-completed",
  "PatchAssessor.AlertFired": "alert",
  "PatchAssessor.AlertResolved": "alert",
};
const bundled = Object.fromEntries(Object.entries(files).map(([type, name]) => [
  type,
  alone.compile(JSON.parse(readFileSync(join(folder, "bundled", `${name}.schema.json`), "utf8"))),
]));
let valid = 0;
const errors = [];
for (const line of readFileSync(file, "utf8").split("\n")) {
  const event = JSON.parse(line);
  const judge = ajv.getSchema(ids[files[event.type]]);
  const judges = [judge, bundled[event.type]];
  if (judges.every((each) => each(event))) valid++;
  else errors.push(...judges.map((each) => `${event.type}: ${ajv.errorsText(each.errors)}`));
}
console.log(JSON.stringify({ valid, errors: errors.slice(0, 5) }));
