// Parses and binds Kusto queries with Kusto's own language service: every file in ../kql, every query
// in the snapshots of the golden deployments (alert rules and workbook), and every ```kusto block of
// the documents, and queries within their sentences. Prints what it says, and ends with 1 if that is anything.
//
//   node check.cjs FOLDER    where the packages of package.json are installed
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const root = path.resolve(__dirname, '..', '..');

function languageService(folder) {
  const manifest = '@kusto/language-service-next/package.json';
  const home = path.dirname(require.resolve(manifest, { paths: [path.resolve(folder)] }));
  global.window = global; // it is made for browsers
  for (const file of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
    vm.runInThisContext(fs.readFileSync(path.join(home, file), 'utf8'), { filename: file });
  }
  return Kusto.Language;
}

function workspace(language) {
  const { common, tables, own } = JSON.parse(fs.readFileSync(path.join(__dirname, 'tables.json'), 'utf8'));
  const all = { ...own };
  for (const [name, columns] of Object.entries(tables)) all[name] = { ...common, ...columns };
  const symbols = Object.entries(all).map(([name, columns]) => {
    const listed = Object.entries(columns).map(([column, type]) => `${column}:${type}`);
    return new language.Symbols.TableSymbol.$ctor7(name, `(${listed.join(', ')})`, null);
  });
  const database = new language.Symbols.DatabaseSymbol.ctor('workspace', symbols);
  return language.GlobalState.Default.WithDatabase(database);
}

function* files(folder, ending) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* files(file, ending);
    else if (entry.name.endsWith(ending)) yield file;
  }
}

// A workbook is JSON in a text, so texts that are JSON are looked into.
function* queriesIn(value, where) {
  if (typeof value === 'string' && value.startsWith('{') && value.includes('"query"')) {
    yield* queriesIn(JSON.parse(value), where);
  } else if (value && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) {
      const name = value.title || value.displayName || value.name;
      const here = typeof name === 'string' ? `${where}: ${name}` : where;
      if (key === 'query' && typeof inner === 'string') yield [here, inner];
      else yield* queriesIn(inner, here);
    }
  }
}

function* queries() {
  for (const file of files(path.join(root, 'infra', 'kql'), '.kql')) {
    yield [path.relative(root, file), fs.readFileSync(file, 'utf8')];
  }
  for (const file of files(path.join(root, 'infra', 'golden'), '.snapshot.json')) {
    for (const resource of JSON.parse(fs.readFileSync(file, 'utf8')).predictedResources) {
      yield* queriesIn(resource.properties, `${path.relative(root, file)}: ${resource.type}`);
    }
  }
  for (const file of [path.join(root, 'README.md'), ...files(path.join(root, 'docs'), '.md')]) {
    const text = fs.readFileSync(file, 'utf8');
    for (const block of text.matchAll(/^```(?:kusto|kql)\n([^]*?)^```|`((?:App\w+|Usage) \| [^`]+)`/gm)) {
      yield [path.relative(root, file), block[1] ?? block[2]];
    }
  }
}

const language = languageService(process.argv[2] || __dirname);
const globals = workspace(language);
let count = 0;
let bad = 0;
for (const [where, text] of queries()) {
  const found = language.KustoCode.ParseAndAnalyze(text, globals).GetDiagnostics();
  count += 1;
  for (let i = 0; i < System.Array.getCount(found); i += 1) {
    const each = System.Array.getItem(found, i);
    const line = text.slice(0, each.Start).split('\n').length;
    console.log(`${where}, line ${line}: ${each.Severity} ${each.Code}: ${each.Message}`);
    bad += 1;
  }
}
console.log(`${count} queries: ${bad ? `${bad} problems` : 'nothing to say'}`);
process.exit(bad || !count ? 1 : 0);
