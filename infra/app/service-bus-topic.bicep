// A topic with its subscriptions and their filters.
import { serviceBusTopic } from 'types.bicep'

param namespaceName string

@description('The topic as infra/servicebus.json has it.')
param topic serviceBusTopic
param sizeInMegabytes int

// What the cloud has in place of the emulator's limits.
var cloud = loadJsonContent('../servicebus-cloud.json')

// One element for each rule of each subscription. A new subscription may come with a rule named
// $Default that lets everything in, so the first rule takes that name and replaces it.
var rules = flatten(map(
  topic.Subscriptions,
  each =>
    map(range(0, length(each.Rules)), i => {
      path: '${each.Name}/${i == 0 ? '$Default' : each.Rules[i].Name}'
      filter: each.Rules[i].Properties
    })
))

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' existing = {
  name: namespaceName
}

resource entity 'Microsoft.ServiceBus/namespaces/topics@2026-01-01' = {
  parent: namespace
  name: topic.Name
  properties: {
    requiresDuplicateDetection: topic.Properties.RequiresDuplicateDetection
    duplicateDetectionHistoryTimeWindow: cloud.topics.DuplicateDetectionHistoryTimeWindow
    defaultMessageTimeToLive: cloud.topics.DefaultMessageTimeToLive
    maxSizeInMegabytes: sizeInMegabytes
  }
}

resource subscriptions 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2026-01-01' = [
  for each in topic.Subscriptions: {
    parent: entity
    name: each.Name
    properties: {
      lockDuration: each.Properties.LockDuration
      maxDeliveryCount: each.Properties.MaxDeliveryCount
      deadLetteringOnMessageExpiration: each.Properties.DeadLetteringOnMessageExpiration
      deadLetteringOnFilterEvaluationExceptions: false
      requiresSession: each.Properties.RequiresSession
      defaultMessageTimeToLive: cloud.subscriptions.DefaultMessageTimeToLive
    }
  }
]

resource filters 'Microsoft.ServiceBus/namespaces/topics/subscriptions/rules@2026-01-01' = [
  for rule in rules: {
    name: '${namespaceName}/${topic.Name}/${rule.path}'
    properties: {
      filterType: rule.filter.FilterType == 'Sql' ? 'SqlFilter' : 'CorrelationFilter'
      sqlFilter: rule.filter.?SqlFilter == null ? null : { sqlExpression: rule.filter.SqlFilter!.SqlExpression }
      correlationFilter: rule.filter.?CorrelationFilter == null
        ? null
        : { properties: rule.filter.CorrelationFilter!.Properties }
    }
    dependsOn: [
      subscriptions
    ]
  }
]
