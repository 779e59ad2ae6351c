// Events about one thing, delivered to the function. Azure has one system topic for each source, so
// one that is there already is used; in its resource group, which need not be this one.
import { tagsOf } from 'types.bicep'

@description('The name of the system topic, if it is made here, and of what else is.')
param name string
param location string
param tags tagsOf
param source string
param topicType string

@description('The system topic that is there already, by its resource ID; empty: one is made here.')
param existingTopicId string

@description('The object ID of that topic\'s system-assigned identity; empty: its undeliverable events are lost.')
param existingTopicPrincipalId string
param functionId string
param eventTypes string[]
param operations string[]

@description('The storage account, in this resource group, whose container takes events that can\'t be delivered.')
param storageName string
param deadEventContainer string
param workspaceId string

var keepsDeadEvents = empty(existingTopicId) || !empty(existingTopicPrincipalId)

module topic 'system-topic.bicep' = if (empty(existingTopicId)) {
  name: '${name}-topic'
  params: {
    name: name
    location: location
    tags: tags
    source: source
    topicType: topicType
    workspaceId: workspaceId
  }
}

module deadEventAccess 'dead-event-access.bicep' = if (keepsDeadEvents) {
  name: '${name}-dead-events'
  params: {
    accountName: storageName
    containerName: deadEventContainer
    // The name of a role assignment has the principal in it, which is known once it is there.
    #disable-next-line what-if-short-circuiting
    principalId: empty(existingTopicId) ? topic!.outputs.principalId : existingTopicPrincipalId
  }
}

module subscription 'event-subscription.bicep' = {
  name: '${name}-subscription'
  scope: resourceGroup(empty(existingTopicId) ? resourceGroup().name : split(existingTopicId, '/')[4])
  params: {
    topicName: empty(existingTopicId) ? name : last(split(existingTopicId, '/'))
    name: 'patch-assessor-${uniqueString(resourceGroup().id)}'
    functionId: functionId
    eventTypes: eventTypes
    operations: operations
    deadEventAccountId: keepsDeadEvents ? resourceId('Microsoft.Storage/storageAccounts', storageName) : ''
    deadEventContainer: deadEventContainer
  }
  dependsOn: [
    deadEventAccess
    topic
  ]
}
