// A table of plain text: every cell is a text node, so that nothing of a stranger's becomes markup.
// On a narrow screen each row is a card; the roles keep it a table for whoever listens to it.
export default {
  template: `
    <div class="data-table">
      <div class="table-bar">
        <span class="table-count" role="status">{{ count }}<template v-if="pages > 1">, page {{ page + 1 }} of {{ pages }}</template></span>
        <label class="narrow-only" v-if="sortable.length">Sort by
          <select :value="(descending ? '-' : '') + sort" @change="$emit('order', $event.target.value)">
            <template v-for="column in sortable" :key="column.key">
              <option :value="column.key">{{ column.label }}, rising</option>
              <option :value="'-' + column.key">{{ column.label }}, falling</option>
            </template>
          </select>
        </label>
        <span class="pager" v-if="pages > 1">
          <button type="button" :disabled="page === 0" @click="$emit('turn', page - 1)">Previous</button>
          <button type="button" :disabled="page + 1 >= pages" @click="$emit('turn', page + 1)">Next</button>
        </span>
      </div>
      <div class="table-scroll" tabindex="0" role="region" :aria-label="caption">
        <table role="table" :aria-label="caption" :style="{ minWidth: least }">
          <thead role="rowgroup">
            <tr role="row">
              <th v-if="selectable" role="columnheader" scope="col" class="pick"><span class="unseen">Selected</span></th>
              <th v-for="column in columns" :key="column.key" role="columnheader" scope="col"
                  :class="{ number: column.number }" :style="{ width: column.width }" :aria-sort="sorted(column)">
                <button v-if="column.sortable" type="button" @click="$emit('order', next(column))">{{ column.label }}<span aria-hidden="true" class="arrow">{{ arrow(column) }}</span></button>
                <template v-else>{{ column.label }}</template>
              </th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            <tr v-for="row in rows" :key="row.id" role="row" :data-row="row.id">
              <td v-if="selectable" role="cell" class="pick">
                <input type="checkbox" :checked="chosen.has(row.id)" :aria-label="'Select ' + row.label"
                       @change="$emit('pick', row.id, $event.target.checked)">
              </td>
              <td v-for="(cell, number) in row.cells" :key="columns[number].key" role="cell"
                  :data-label="columns[number].label"
                  :class="[{ number: columns[number].number, empty: !cell.text }, cell.tone ? 'tone-' + cell.tone : '']"
                  :title="cell.title">
                <a v-if="cell.href" :href="cell.href">{{ cell.text }}</a>
                <span v-else-if="cell.tone" class="pill">{{ cell.text }}</span>
                <span v-else-if="cell.share !== undefined" class="gauge">
                  <span class="gauge-track" aria-hidden="true"><span class="gauge-fill" :style="{ width: 100 * cell.share + '%' }"></span></span>{{ cell.text }}
                </span>
                <template v-else>{{ cell.text }}</template>
              </td>
            </tr>
          </tbody>
        </table>
        <p v-if="!rows.length" class="nothing">{{ nothing }}</p>
      </div>
    </div>`,
  props: {
    caption: String,
    nothing: String,
    columns: Array,
    rows: Array,
    total: Number,
    page: Number,
    pages: Number,
    sort: String,
    descending: Boolean,
    selectable: Boolean,
    selected: Array,
    least: String,
  },
  computed: {
    count() {
      if (!this.total) return "";
      return this.total === 1 ? "1 row" : this.total.toLocaleString("en") + " rows";
    },
    chosen() {
      return new Set(this.selected);
    },
    sortable() {
      return this.columns.filter((column) => column.sortable);
    },
  },
  methods: {
    sorted(column) {
      if (!column.sortable) return undefined;
      if (column.key !== this.sort) return "none";
      return this.descending ? "descending" : "ascending";
    },
    arrow(column) {
      if (column.key !== this.sort) return "";
      return this.descending ? " ▼" : " ▲";
    },
    next(column) {
      const falls = column.key === this.sort ? !this.descending : column.number;
      return (falls ? "-" : "") + column.key;
    },
  },
};
