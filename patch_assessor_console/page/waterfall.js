// A trace as a waterfall: a table whose last column is drawn.
export default {
  template: `
    <div class="table-scroll waterfall" tabindex="0" role="region" aria-label="Trace">
      <table>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col" class="number">Began at</th>
            <th scope="col" class="number">Took</th>
            <th scope="col">Worker</th>
            <th scope="col" class="lane">In time</th>
          </tr>
        </thead>
        <tbody>
          <tr v-for="(bar, number) in bars" :key="number" :class="{ failed: bar.failed }">
            <td :style="{ paddingLeft: 0.5 + Math.min(bar.depth, 6) * 0.8 + 'rem' }">{{ bar.label }}<span class="note" v-if="bar.note"> {{ bar.note }}</span></td>
            <td class="number">{{ bar.starts }}</td>
            <td class="number">{{ bar.took }}</td>
            <td>{{ bar.worker }}</td>
            <td class="lane"><span class="lane-track"><span :class="'bar bar-' + bar.kind" :title="bar.kind"
                :style="{ left: 100 * bar.offset + '%', width: 'max(3px, ' + 100 * bar.width + '%)' }"></span></span></td>
          </tr>
        </tbody>
      </table>
    </div>`,
  props: { bars: Array },
};
