// The workbook that shows the fleet. A row that is clicked shows its assessment's trace below.
import { tagsOf } from 'types.bicep'

param location string
param tags tagsOf
param workspaceId string

var tables = [
  {
    title: 'Posture now: what the last assessment of each VM found'
    query: loadTextContent('../kql/posture.kql')
    visualization: 'table'
  }
  {
    title: 'Critical and security patches that the fleet lacks'
    query: loadTextContent('../kql/trend.kql')
    visualization: 'timechart'
  }
  {
    title: 'Reboots pending, the longest first'
    query: loadTextContent('../kql/reboots.kql')
    visualization: 'table'
  }
  {
    title: 'Outcomes by kind'
    query: loadTextContent('../kql/outcomes.kql')
    visualization: 'timechart'
  }
  {
    title: 'The slowest assessments'
    query: loadTextContent('../kql/slowest.kql')
    visualization: 'table'
  }
  {
    title: 'VMs whose assessments fail'
    query: loadTextContent('../kql/failing.kql')
    visualization: 'table'
  }
  {
    title: 'Calls that ARM refused because there were too many'
    query: loadTextContent('../kql/throttled-calls.kql')
    visualization: 'table'
  }
]

var timeRange = {
  type: 9
  name: 'range'
  content: {
    version: 'KqlParameterItem/1.0'
    parameters: [
      {
        id: guid(workspaceId, 'range')
        version: 'KqlParameterItem/1.0'
        name: 'range'
        label: 'Time range'
        type: 4
        isRequired: true
        value: { durationMs: 604800000 }
        typeSettings: {
          selectableValues: [
            { durationMs: 86400000 }
            { durationMs: 604800000 }
            { durationMs: 2592000000 }
          ]
          allowCustom: true
        }
      }
    ]
    style: 'pills'
  }
}

var charts = [
  for table in tables: {
    type: 3
    name: table.title
    content: {
      version: 'KqlItem/1.0'
      title: table.title
      query: table.query
      size: 0
      timeContextFromParameter: 'range'
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      visualization: table.visualization
      exportFieldName: 'Trace'
      exportParameterName: 'trace'
      exportDefaultValue: 'none'
      gridSettings: { filter: true }
    }
  }
]

var trace = {
  type: 3
  name: 'trace'
  content: {
    version: 'KqlItem/1.0'
    title: 'The trace of the row that was clicked: {trace}'
    query: loadTextContent('../kql/trace.kql')
    size: 0
    timeContextFromParameter: 'range'
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    visualization: 'table'
  }
  conditionalVisibility: {
    parameterName: 'trace'
    comparison: 'isNotEqualTo'
    value: 'none'
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'patch-assessor')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Patch posture of the fleet'
    category: 'workbook'
    sourceId: workspaceId
    version: '1.0'
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat([timeRange], charts, [trace])
      fallbackResourceIds: [workspaceId]
    })
  }
}
