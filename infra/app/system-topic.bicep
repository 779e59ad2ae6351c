// The source of events about one thing. Its identity may write events that can't be delivered.
import { tagsOf } from 'types.bicep'

param name string

@description('The region of what the events are about, or global.')
param location string
param tags tagsOf

@description('What the events are about, by its resource ID.')
param source string
param topicType string
param workspaceId string

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: source
    topicType: topicType
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: topic
  name: 'failures'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'DeliveryFailures', enabled: true }
    ]
  }
}

output principalId string = topic.identity.principalId
