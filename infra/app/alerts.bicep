// What somebody must look at: rules over the bus's own metrics and over what the app emits.
import { tagsOf } from 'types.bicep'

param location string
param tags tagsOf
param workspaceId string
param serviceBusId string

@description('Action groups to call; with none, alerts are only shown.')
param actionGroupIds string[]

@description('The size in bytes above which an entity counts as nearly full.')
param nearlyFullBytes int

var metricRules = [
  {
    name: 'dead-letters'
    title: 'Messages that could not be handled'
    text: 'An entity has dead letters. `python -m patch_assessor_cli dead-letters list` shows them.'
    metric: 'DeadletteredMessages'
    threshold: 0
    severity: 1
  }
  {
    name: 'nearly-full'
    title: 'An entity is nearly full'
    text: 'A full topic takes no outcome any more. A subscription that nobody reads is the usual cause.'
    metric: 'Size'
    threshold: nearlyFullBytes
    severity: 1
  }
]

var queryRules = [
  {
    name: 'rejected-requests'
    title: 'Rejected requests are rising'
    text: 'More requests are rejected than usual. The subscription `rejected` has them, with the reasons.'
    query: loadTextContent('../kql/rejected.kql')
    every: 'PT15M'
    window: 'P1D'
    range: 'P2D'
    mitigates: true
    severity: 2
  }
  {
    name: 'throttling'
    title: 'ARM throttles the app'
    text: 'Assessments wait and will be late. Lower SCAN_PACE_PER_MINUTE, or find who else calls ARM.'
    query: loadTextContent('../kql/throttled.kql')
    every: 'PT15M'
    window: 'PT30M'
    range: null
    mitigates: true
    severity: 3
  }
  {
    name: 'no-outcome'
    title: 'No outcome for a day'
    text: 'Nothing was assessed, skipped or rejected for a day, or since the schedule asked. Close it once something is.'
    query: loadTextContent('../kql/silent.kql')
    every: 'PT1H'
    window: 'P1D'
    range: 'P2D' // the most that a rule may look back; so what is older must not end the alert
    mitigates: false
    severity: 2
  }
  {
    name: 'past-deadline'
    title: 'Assessments past their deadline'
    text: 'ARM did not end these by ASSESS_DEADLINE_MINUTES. The trace shows every poll of them.'
    query: loadTextContent('../kql/overdue.kql')
    every: 'PT15M'
    window: 'PT1H'
    range: 'P2D' // a record that comes again counts by its first time
    mitigates: true
    severity: 2
  }
]

var metricActions = [for id in actionGroupIds: { actionGroupId: id }]

resource onMetrics 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for rule in metricRules: {
    name: rule.name
    location: 'global'
    tags: tags
    properties: {
      description: rule.text
      severity: rule.severity
      enabled: true
      scopes: [serviceBusId]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: rule.name
            metricNamespace: 'Microsoft.ServiceBus/namespaces'
            metricName: rule.metric
            operator: 'GreaterThan'
            threshold: rule.threshold
            timeAggregation: 'Average'
            dimensions: [
              {
                name: 'EntityName'
                operator: 'Include'
                values: ['*']
              }
            ]
          }
        ]
      }
      actions: metricActions
    }
  }
]

resource onQueries 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in queryRules: {
    name: rule.name
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: rule.text
      severity: rule.severity
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      overrideQueryTimeRange: rule.range
      autoMitigate: rule.mitigates
      muteActionsDuration: rule.mitigates ? null : 'P1D'
      // The tables are not there before the app has sent something.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: { actionGroups: actionGroupIds }
    }
  }
]
